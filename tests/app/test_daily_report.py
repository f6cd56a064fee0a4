"""The daily report: when it is due, what it is made of, and who gets it."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.app.models import ConfigModel
from holdfast.app.report import DailyReport, last_due, next_due, read_report, since_of
from holdfast.incident import Record
from holdfast.kernel import BadInputError, ManualClock
from holdfast.learning.would_have import Compared
from holdfast.ledger import MemoryLedger
from holdfast.response.store import Batch
from tests.app.receiver_parts import Receiver, receiver
from tests.engine.engine_parts import site, with_world
from tests.learning.test_would_have import deployed, did, shown, watching
from tests.scene import START

BERLIN = ZoneInfo("Europe/Berlin")
SEVEN = time(7, 0)


def ledger_of(*chains: list[Record]) -> MemoryLedger:
    """A ledger that holds these chains as they are."""
    ledger = MemoryLedger(ManualClock(START))
    for records in chains:
        claim = ledger.open_incident("w", 30)
        ledger.append(Batch(claim=claim, records=records, at=START, lease_s=30))
    return ledger


def config(**more: Any) -> ConfigModel:  # noqa: ANN401 - any section
    return ConfigModel.model_validate(more)


@pytest.mark.parametrize(
    ("now", "last", "coming"),
    [
        ("2030-03-30T06:59", "2030-03-29T06:00", "2030-03-30T06:00"),
        ("2030-03-30T07:00", "2030-03-30T06:00", "2030-03-31T05:00"),
        ("2030-10-27T06:59", "2030-10-26T05:00", "2030-10-27T06:00"),
    ],
)
def test_it_is_due_at_the_same_hour_of_the_clock_in_summer_and_in_winter(
    now: str, last: str, coming: str
) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=BERLIN).astimezone(UTC)

    assert last_due(at, SEVEN, BERLIN) == datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert next_due(at, SEVEN, BERLIN) == datetime.fromisoformat(coming).replace(tzinfo=UTC)


def test_since_is_a_duration_or_a_moment() -> None:
    assert since_of("24h", START) == START - timedelta(days=1)
    assert since_of("2029-12-31T00:00Z", START) == datetime(2029, 12, 31, tzinfo=UTC)
    with pytest.raises(BadInputError, match="a duration such as 24h"):
        since_of("yesterday", START)


def test_it_is_read_from_the_ledger_with_the_changes_that_were_told() -> None:
    scene = watching()
    shown(scene)
    ledger = ledger_of(scene.records)
    for change in (deployed("2.4.0", "2.3.9", -90), deployed("2.3.9", "2.4.0", 300)):
        ledger.put_change(change)

    report = read_report(
        ledger, config(), since=START - timedelta(days=1), until=START + timedelta(days=1)
    )
    assert report.figures()["agreed"] == 1
    assert report.unread == ()


def test_what_a_real_engine_wrote_in_observe_is_read_with_what_a_person_reported(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as made:
        with_world(made, mode="observe")
        made.open()
        made.start()
        made.seen.until(made.seen.has("step_blocked"))
        asked = made.submit("did", action="write_mark", target="shop", because="by hand")
        assert made.answer(asked).ok
        now = made.clock.now()
        report = read_report(
            made.ledger, config(), since=now - timedelta(hours=1), until=now + timedelta(hours=1)
        )

    (told,) = report.incidents
    (step,) = told.steps
    assert (step.what, step.compared) == ("write_mark on shop", Compared.AGREED)
    assert not step.after_approval
    assert step.earlier_s is not None
    assert 0 < step.earlier_s < 60


def test_a_deployments_table_that_is_away_is_named_and_stops_nothing() -> None:
    away = {"dsn": "host=127.0.0.1 port=1 user=me password=hunter2 dbname=x"}
    report = read_report(
        ledger_of(watching().records),
        config(deployments=away),
        since=START - timedelta(days=1),
        until=START + timedelta(days=1),
    )

    assert len(report.incidents) == 1
    (problem,) = report.unread
    assert "deployments can't be read" in problem
    assert "hunter2" not in problem


def test_the_hour_that_the_clocks_show_twice_is_in_a_report(tmp_path: Path) -> None:
    due = datetime(2030, 10, 27, 6, tzinfo=UTC)
    made = daily(tmp_path, ManualClock(due), [], report={"zone": "Europe/Berlin"})

    assert made.write(due, BERLIN)
    text = (tmp_path / "would-have-done-2030-10-27.md").read_text()
    assert "2030-10-26 05:00:00.000 UTC to 2030-10-27 06:00:00.000 UTC" in text


@pytest.fixture
def outside() -> Iterator[Receiver]:
    with receiver() as told:
        yield told


def daily(folder: Path, clock: ManualClock, notices: list[str], **more: Any) -> DailyReport:  # noqa: ANN401 - any section
    scene = watching()
    shown(scene)
    did(scene, "rollback_deploy", "shop-api")
    return DailyReport(
        ledger=ledger_of(scene.records),
        config=config(**more),
        folder=folder,
        notice=notices.append,
        clock=clock,
        stopping=threading.Event(),
    )


class Ended(ManualClock):
    """A clock on which `run` stops by itself once it has come this far."""

    def __init__(self, start: datetime, until: datetime) -> None:
        super().__init__(start)
        self.until = until

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if self.now() >= self.until:
            event.set()
        return super().wait(event, timeout_s)


def test_one_is_written_each_day_and_told(tmp_path: Path) -> None:
    notices: list[str] = []
    clock = Ended(START, START + timedelta(days=2, hours=1))
    daily(tmp_path / "reports", clock, notices).run()

    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "would-have-done-2030-01-02.md",
        "would-have-done-2030-01-03.md",
    ]
    first, second = notices
    assert first.startswith("would have done: 1 steps in 1 incidents; agreed 1 (median 4 min")
    assert "read " in first
    assert second.startswith("would have done: 0 steps in 0 incidents")
    text = (tmp_path / "reports" / "would-have-done-2030-01-02.md").read_text()
    assert "2030-01-01 07:00:00.000 UTC to 2030-01-02 07:00:00.000 UTC" in text


def test_one_that_was_missed_is_written_late_and_none_at_the_very_first_start(
    tmp_path: Path,
) -> None:
    notices: list[str] = []
    daily(tmp_path, Ended(START, START), notices).run()
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "would-have-done-2029-12-30.md").write_text("an earlier one")
    daily(tmp_path, Ended(START, START), notices).run()
    made = (tmp_path / "would-have-done-2030-01-01.md").read_text()
    assert "2029-12-30 07:00:00.000 UTC to 2030-01-01 07:00:00.000 UTC" in made, "no day is lost"
    daily(tmp_path, Ended(START, START), notices).run()
    assert len(notices) == 1


def test_it_is_posted_where_that_is_wanted(tmp_path: Path, outside: Receiver) -> None:
    notices: list[str] = []
    more = {"notify": {"webhook": f"{outside.url}/hook/s3cret"}}
    quiet = daily(tmp_path, ManualClock(START), notices, **more)
    assert quiet.write(START + timedelta(days=1), BERLIN)
    assert outside.got == []

    loud = daily(tmp_path, ManualClock(START), notices, **more, report={"webhook": True})
    assert loud.write(START + timedelta(days=1), BERLIN)
    (got,) = outside.got
    body = json.loads(got[2])
    assert body["kind"] == "report"
    assert body["report"] == "would-have-done-2030-01-02"
    assert body["figures"]["agreed"] == 1
    assert body["markdown"].startswith("# What Holdfast would have done")
    outside.status = 500
    loud.write(START + timedelta(days=1), BERLIN)
    assert notices[-1].endswith("answered 500")
    assert "s3cret" not in " ".join(notices)


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    notices: list[str] = []
    (tmp_path / "reports").write_text("a file where the folder should be")
    made = daily(tmp_path / "reports", ManualClock(START), notices)

    assert not made.write(START, BERLIN)
    assert "can't be written" in notices[0]
