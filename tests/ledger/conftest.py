"""A ledger in a real file, on a clock that tests jump."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.kernel import ManualClock
from holdfast.ledger import SqliteLedger
from tests.ledger.ledger_parts import START


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.db"


@pytest.fixture
def ledger(path: Path, clock: ManualClock) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(path, clock)
    yield opened
    opened.close()
