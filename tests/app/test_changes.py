from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.app.changes import ChangeLog
from holdfast.kernel.clock import ManualClock
from holdfast.sources import Change, SourceError

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.notices: list[str] = []

    def on_change(self, change: Mapping[str, Any]) -> None:
        self.changes.append(change["version"])

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Table:
    """A deployments table that can go away."""

    def __init__(self) -> None:
        self.rows: list[Change] = []
        self.gone = False

    def deploy(self, number: int) -> None:
        change = Change(
            id=str(number),
            at=NOW + timedelta(minutes=number),
            kind="deploy",
            service="shop-api",
            version=f"v{number}",
            previous=None,
            author="dana",
            summary=None,
        )
        self.rows.insert(0, change)

    def read(self, since: datetime) -> tuple[Change, ...]:
        if self.gone:
            raise SourceError("deployments can't be read (connection refused); check the dsn")
        return tuple(row for row in self.rows if row.at >= since)


def followed() -> tuple[Table, Told, ChangeLog, ManualClock]:
    table, told, clock = Table(), Told(), ManualClock(NOW)
    return table, told, ChangeLog(table.read, told, clock, every_s=5), clock


def test_each_change_is_told_once_and_in_the_order_of_the_deployments() -> None:
    table, told, log, _ = followed()
    table.deploy(1)
    table.deploy(2)
    log.poll()
    log.poll()
    table.deploy(3)
    log.poll()
    assert told.changes == ["v1", "v2", "v3"]


def test_what_was_read_before_the_database_went_is_still_known() -> None:
    table, told, log, _ = followed()
    table.deploy(1)
    log.poll()
    table.gone = True
    log.poll()
    log.poll()
    assert [change["version"] for change in log.recent()] == ["v1"]
    assert told.notices == ["deployments can't be read (connection refused); check the dsn"]


def test_it_is_said_when_deployments_can_be_read_again() -> None:
    table, told, log, _ = followed()
    table.gone = True
    log.poll()
    table.gone = False
    log.poll()
    assert told.notices[-1] == "deployments can be read again"


def test_a_change_older_than_two_hours_is_forgotten() -> None:
    table, _, log, clock = followed()
    table.deploy(1)
    log.poll()
    clock.jump(timedelta(hours=3))
    log.poll()
    assert log.recent() == ()
