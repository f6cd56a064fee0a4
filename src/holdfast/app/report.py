"""The would-have-done report: read from the ledger when asked, and once a day by `serve`.

What can't be read (a deployments table that is away) is named in the report, so that a gap is
never taken for "nobody did anything".
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.app.files import write_whole
from holdfast.app.installation import Installation
from holdfast.app.models import ConfigModel
from holdfast.app.outside import host, send
from holdfast.incident import Record
from holdfast.kernel.clock import Clock, format_at, parse_at
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import redact
from holdfast.learning import Report, summary_line, would_have, would_have_text
from holdfast.response.store import Ledger
from holdfast.runbooks.durations import parse_duration
from holdfast.sources import DeploymentsSource

FOLDER = "reports"
_PREFIX = "would-have-done-"
# Without what was deployed before, nobody can tell a rollback from a new release.
_CHANGES_BEFORE = timedelta(days=7)
_CHANGES_MOST = 20_000
_READ_TOGETHER = 200
_MADE_UP_FOR_DAYS = 7
_WAIT_S_MAX = 30.0
_SEND_S = 10.0
_JOIN_S = 1.0


def since_of(text: str, now: datetime) -> datetime:
    """Read `24h` or a moment. Raises BadInputError."""
    try:
        return now - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        return parse_at(text)
    except ValueError:
        raise BadInputError(
            f"--since {text!r:.80} is no time; write a duration such as 24h, or a moment such as "
            "2030-01-05T02:00Z",
            field="since",
        ) from None


def read_report(ledger: Ledger, config: ConfigModel, *, since: datetime, until: datetime) -> Report:
    """Read everything that the report is made of, and write it. Raises LedgerUnavailableError."""
    changes, unread = _changes(ledger, config, since - _CHANGES_BEFORE)
    return would_have(_chains(ledger), changes, since=since, until=until, unread=unread)


def _chains(ledger: Ledger) -> Iterator[Sequence[Record]]:
    names = ledger.incident_ids()
    for start in range(0, len(names), _READ_TOGETHER):
        yield from ledger.records_of(names[start : start + _READ_TOGETHER]).values()


def _changes(
    ledger: Ledger, config: ConfigModel, since: datetime
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Gather what was told and what the deployments table says."""
    found = list(ledger.changes_since(since, _CHANGES_MOST))
    unread: list[str] = []
    if len(found) >= _CHANGES_MOST:
        unread.append(f"only the newest {_CHANGES_MOST} changes that were told were read")
    if config.deployments is not None:
        source = DeploymentsSource(config.deployments.dsn, table=config.deployments.table)
        try:
            found += [
                {
                    "id": each.id,
                    "at": format_at(each.at),
                    "kind": each.kind,
                    "service": each.service,
                    "version": each.version,
                    "previous": each.previous,
                    "author": each.author,
                    "summary": each.summary,
                }
                for each in source.recent(since)
            ]
        except HoldfastError as error:
            unread.append(redact(error.message))
    return found, unread


def last_due(now: datetime, daily_at: time, zone: ZoneInfo) -> datetime:
    """Give the last moment at which a report was due."""
    today = now.astimezone(zone).date()
    due = _due_on(today, daily_at, zone)
    return due if due <= now else _due_on(today - timedelta(days=1), daily_at, zone)


def next_due(now: datetime, daily_at: time, zone: ZoneInfo) -> datetime:
    """Give the next moment at which a report is due."""
    today = now.astimezone(zone).date()
    due = _due_on(today, daily_at, zone)
    return due if due > now else _due_on(today + timedelta(days=1), daily_at, zone)


def _due_on(day: date, daily_at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, daily_at, zone).astimezone(UTC)


@dataclass(slots=True, kw_only=True)
class DailyReport:
    """Writes one report a day from a thread of its own; one that was missed is written late."""

    ledger: Ledger
    config: ConfigModel
    folder: Path
    notice: Callable[[str], None]
    clock: Clock
    stopping: threading.Event

    def run(self) -> None:
        """Write each report when it is due, until stopped."""
        settings = self.config.report
        at, zone = time.fromisoformat(settings.daily_at), ZoneInfo(settings.zone)
        due = self._first_due(at, zone)
        while not self.stopping.is_set():
            now = self.clock.now()
            if now >= due and self.write(due, zone):
                due = next_due(now, at, zone)
            left_s = (due - self.clock.now()).total_seconds()
            # In short pieces: a machine that slept is on time again soon.
            self.clock.wait(self.stopping, min(max(left_s, 0.1), _WAIT_S_MAX))

    def _first_due(self, at: time, zone: ZoneInfo) -> datetime:
        """The next one; or the last one where there were reports before it and it is missing."""
        now = self.clock.now()
        last = last_due(now, at, zone)
        written = [path.name for path in self.folder.glob(f"{_PREFIX}*.md")]
        missed = written and max(written) < self.path(last, zone).name
        return last if missed else next_due(now, at, zone)

    def _since(self, due: datetime, zone: ZoneInfo) -> datetime:
        """From the report before it on, so that no hour is left out: not the one that the clocks
        show twice, nor a day on which nothing ran, of the last seven.
        """
        at, today = time.fromisoformat(self.config.report.daily_at), due.astimezone(zone).date()
        for days in range(1, _MADE_UP_FOR_DAYS + 1):
            before = _due_on(today - timedelta(days=days), at, zone)
            if self.path(before, zone).exists():
                return before
        return _due_on(today - timedelta(days=1), at, zone)

    def path(self, due: datetime, zone: ZoneInfo) -> Path:
        """Name the file of the report that is due then."""
        return self.folder / f"{_PREFIX}{due.astimezone(zone).date().isoformat()}.md"

    def write(self, due: datetime, zone: ZoneInfo) -> bool:
        """Write the report that is due then; say whether that is done."""
        path, since = self.path(due, zone), self._since(due, zone)
        try:
            report = read_report(self.ledger, self.config, since=since, until=due)
            text = redact(would_have_text(report))
            self.folder.mkdir(exist_ok=True)
            write_whole(path, text)
        except HoldfastError as error:
            self.notice(f"the daily report waits: {error.message}")
            return False
        except OSError as error:
            self.notice(f"the daily report can't be written to {path}: {error.strerror}")
            return False
        self.notice(f"{summary_line(report)}; read {path}")
        self._post(path.stem, report, text)
        return True

    def _post(self, name: str, report: Report, text: str) -> None:
        url = self.config.notify.webhook
        if not self.config.report.webhook or url is None:
            return
        body = {
            "kind": "report",
            "report": name,
            "summary": summary_line(report),
            "figures": report.figures(),
            "markdown": text,
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": name}
        content = json.dumps(body, ensure_ascii=False).encode()
        problem = send("POST", url, timeout_s=_SEND_S, body=content, headers=headers)
        if problem:
            self.notice(f"the daily report was not posted: {host(url)} {problem}")


@contextmanager
def daily_report(
    installation: Installation, ledger: Ledger, notice: Callable[[str], None], clock: Clock
) -> Iterator[None]:
    """Write the daily report for as long as the block lasts, where it is wanted."""
    config = installation.config
    wanted = config.report.daily
    if not (config.mode == "observe" if wanted is None else wanted):
        yield
        return
    daily = DailyReport(
        ledger=ledger,
        config=config,
        folder=installation.directory / FOLDER,
        notice=notice,
        clock=clock,
        stopping=threading.Event(),
    )
    thread = threading.Thread(target=daily.run, name="report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        daily.stopping.set()
        thread.join(_JOIN_S)
