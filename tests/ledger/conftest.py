"""Every twin of the ledger, each on a clock that tests jump."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel import ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.response.store import Ledger
from tests.ledger.ledger_parts import START
from tests.ledger.twins import TWINS, Place, Twin


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.db"


def _place(request: pytest.FixtureRequest, directory: Path) -> Place:
    return Place(directory=directory, server=lambda: request.getfixturevalue("durable_postgres"))


@pytest.fixture(params=sorted(TWINS))
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Twin]:
    """One store that keeps the contract; a test that takes this runs once for each."""
    with TWINS[request.param](_place(request, tmp_path)) as made:
        yield made


@pytest.fixture(params=sorted(set(TWINS) - {"memory"}))
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Twin]:
    """One store that outlives its process."""
    with TWINS[request.param](_place(request, tmp_path)) as made:
        yield made


@pytest.fixture
def ledger(twin: Twin) -> Ledger:
    return twin.ledger


@pytest.fixture
def pass_s(twin: Twin) -> Callable[[float], None]:
    """Let seconds pass by the store's clock."""
    return twin.pass_s


@pytest.fixture
def sqlite(path: Path, clock: ManualClock) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(path, clock)
    yield opened
    opened.close()
