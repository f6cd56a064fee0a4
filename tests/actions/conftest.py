"""A release directory that runs v2, and who watches it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.actions import RollbackDeploy
from tests.io_parts import releases
from tests.release_parts import Moves, described


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return releases(tmp_path / "api", "v1", "v2", "v3", current="v2")


@pytest.fixture
def moves(directory: Path) -> Iterator[Moves]:
    pytest.importorskip("inotify_simple", reason="counts with inotify, which is Linux's")
    moves = Moves(directory)
    yield moves
    moves.close()


@pytest.fixture
def rollback(directory: Path) -> RollbackDeploy:
    return RollbackDeploy(described(directory))
