"""The stores that keep one contract, each with a clock that a test can jump."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from holdfast.kernel import ManualClock
from holdfast.ledger import MemoryLedger, PostgresLedger, SqliteLedger
from holdfast.response.store import Ledger
from tests.ledger.ledger_parts import START
from tests.real_parts import Postgres

_EPOCH = START.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One ledger; `pass_s` lets seconds pass by the clock that its leases run on.

    `again` opens the same store a second time; None for one that does not outlive its process.
    """

    ledger: Ledger
    pass_s: Callable[[float], None]
    again: Callable[[], Ledger] | None = None

    def reopened(self) -> Ledger:
        """Open the same store once more; it is closed with the twin."""
        assert self.again is not None, "this store does not outlive its process"
        return self.again()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a twin may keep what it keeps; the server is started when somebody needs it."""

    directory: Path
    server: Callable[[], Postgres]


def _jumps(clock: ManualClock) -> Callable[[float], None]:
    return lambda seconds: clock.jump(timedelta(seconds=seconds))


@contextmanager
def _memory(_place: Place) -> Iterator[Twin]:
    clock = ManualClock(START)
    yield Twin(ledger=MemoryLedger(clock), pass_s=_jumps(clock))


@contextmanager
def _sqlite(place: Place) -> Iterator[Twin]:
    clock = ManualClock(START)
    opened = [SqliteLedger(place.directory / "holdfast.db", clock)]

    def again() -> Ledger:
        opened.append(SqliteLedger(place.directory / "holdfast.db", clock))
        return opened[-1]

    try:
        yield Twin(ledger=opened[0], pass_s=_jumps(clock), again=again)
    finally:
        for one in opened:
            one.close()


@contextmanager
def _postgres(place: Place) -> Iterator[Twin]:
    with place.server().ledger_url() as url:
        opened = [PostgresLedger(url)]
        pass_s = standing_clock(url)

        def again() -> Ledger:
            opened.append(PostgresLedger(url))
            return opened[-1]

        try:
            yield Twin(ledger=opened[0], pass_s=pass_s, again=again)
        finally:
            for one in opened:
                one.close()


def standing_clock(url: str) -> Callable[[float], None]:
    """Make a ledger's own clock stand still at START; give the function that moves it on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table standing_clock as select %s::float8 as now", [_EPOCH])
        connection.execute(
            "create or replace function holdfast_now() returns double precision "
            "language sql volatile as 'select now from standing_clock'"
        )

    def pass_s(seconds: float) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("update standing_clock set now = now + %s", [seconds])

    return pass_s


TWINS: Mapping[str, Callable[[Place], AbstractContextManager[Twin]]] = {
    "memory": _memory,
    "postgres": _postgres,
    "sqlite": _sqlite,
}
