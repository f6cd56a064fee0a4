import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast.app.changes import ChangeLog, Changes, FileLog
from holdfast.app.following import own_step
from holdfast.kernel.clock import ManualClock, format_at
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.memory import MemoryLedger
from holdfast.response.store import LoggedAction
from holdfast.sources import Change, SourceError, WatchedFile, WatchedFiles

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.notices: list[str] = []

    def on_change(self, change: Mapping[str, Any]) -> None:
        self.changes.append(change["version"] or change["summary"])

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


class Shelf(MemoryLedger):
    """A real ledger in memory that can be away."""

    away = False

    def put_change(self, change: Mapping[str, Any]) -> bool:
        self._ask()
        return super().put_change(change)

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]:
        self._ask()
        return super().changes_since(since, limit)

    def _ask(self) -> None:
        if self.away:
            raise LedgerUnavailableError("the disk is full")


def file_log(path: Path) -> tuple[FileLog, Shelf, Told, ManualClock]:
    path.write_text("a")
    told, clock = Told(), ManualClock(NOW)
    shelf = Shelf(clock)
    files = WatchedFiles([WatchedFile(path=path, service="shop-api", kind="flag")], clock)
    log = FileLog(files, shelf, told, clock, every_s=2)
    log.poll()
    path.write_text("b")
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return log, shelf, told, clock


def test_a_changed_file_is_told_and_kept(tmp_path: Path) -> None:
    log, shelf, told, clock = file_log(tmp_path / "flags")
    log.poll()
    log.poll()

    (kept,) = shelf.changes_since(NOW)
    assert told.changes == ["flags: 1 line changed"]
    assert Changes(shelf, clock, files=log).recent() == (kept,)


def test_what_the_ledger_can_not_take_is_known_here_and_kept_later(tmp_path: Path) -> None:
    log, shelf, _, clock = file_log(tmp_path / "flags")
    shelf.away = True
    log.poll()
    known = Changes(shelf, clock, files=log).recent()
    shelf.away = False
    log.poll()

    assert [change["summary"] for change in known] == ["flags: 1 line changed"]
    assert shelf.changes_since(NOW) == known


def test_all_that_is_known_comes_newest_first_each_change_once(tmp_path: Path) -> None:
    log, shelf, told, clock = file_log(tmp_path / "flags")
    table = Table()
    table.deploy(-5)
    deployments = ChangeLog(table.read, told, clock, every_s=5)
    shelf.put_change({"id": "told", "at": "2030-01-01T11:30:00.000000Z", "kind": "infra"})
    deployments.poll()
    log.poll()

    known = Changes(shelf, clock, deployments=deployments, files=log).recent()

    assert [change["kind"] for change in known] == ["flag", "deploy", "infra"]


def test_a_file_that_can_not_be_read_is_said_once(tmp_path: Path) -> None:
    log, _, told, _ = file_log(tmp_path / "flags")
    (tmp_path / "flags").unlink()
    os.mkfifo(tmp_path / "flags")
    log.poll()
    log.poll()

    assert len(told.notices) == 1
    assert "is no plain file" in told.notices[0]


def turned(summary: str = "flags.json: flag slim: state ENABLED -> DISABLED") -> dict[str, Any]:
    return {"kind": "flag", "service": "shop-api", "summary": summary, "at": format_at(NOW)}


def step(seconds_ago: float, action: str = "disable_flag") -> LoggedAction:
    return LoggedAction(
        key="k",
        incident_id="INC-1",
        step_id="S1",
        action=action,
        target="shop-api",
        at=NOW - timedelta(seconds=seconds_ago),
        settled=True,
    )


def test_a_flag_that_a_step_of_our_own_turned_is_told_as_ours() -> None:
    def author(*steps: LoggedAction, change: dict[str, Any] | None = None) -> str | None:
        return own_step(change or turned(), ["shop-api"], lambda _target, _since: steps)

    assert author(step(5)) == "holdfast, step S1 of INC-1"
    assert author() is None
    assert author(step(5, "restart_service")) is None
    assert author(step(90)) is None
    assert author(step(5), change=turned("flags.json: flag slim: targeting added")) is None
