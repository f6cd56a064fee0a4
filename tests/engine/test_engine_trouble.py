"""When the ledger, the lease or Holdfast itself fails: no action on a guess, nothing forgotten."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.engine import drive
from holdfast.incident import StepStatus
from holdfast.kernel import LedgerUnavailableError
from holdfast.ledger import SqliteLedger, verify
from holdfast.response.ports import ActionRequest, CheckContext, Repeatability
from tests.engine.engine_parts import LaterClock, Look, PassingClock, Site, site, with_world
from tests.engine.marks import effects


def store(made: Site) -> SqliteLedger:
    assert isinstance(made.ledger, SqliteLedger)
    return made.ledger


def fill(made: Site) -> None:
    """Let the file grow no more, and fill what room is left in it."""

    def limit(db: apsw.Connection) -> None:
        db.execute("create table if not exists junk (b blob)")
        db.pragma("max_page_count", db.pragma("page_count"))

    store(made)._writer.run(limit)
    for size in (3000, 300, 30):
        while _still_room(made, size):
            pass


def _still_room(made: Site, size: int) -> bool:
    def add(db: apsw.Connection) -> None:
        db.execute("insert into junk values (zeroblob(?))", (size,))

    try:
        store(made)._writer.run(add)
    except LedgerUnavailableError:
        return False
    return True


def patient(made: Site) -> None:
    """Give the step plenty of time, so that a pause is no lost reply."""
    (book,) = made.engine.carrier.world.runbooks
    with_world(made, runbooks=(replace(book, steps=(replace(book.steps[0], timeout_s=8.0),)),))


def make_room(made: Site) -> None:
    # The writer's thread is idle or fails: a pragma of its connection needs no turn in the queue.
    store(made)._writing.pragma("max_page_count", 100_000)
    made.engine.wake.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "_BACK_OFF_S", 0.05)


def full(made: Site) -> Any:  # noqa: ANN401 - a condition for `until`
    return lambda: any("is full" in text for text in made.seen.troubles)


@pytest.mark.promise("L3")
def test_without_room_for_an_intent_there_is_no_action(tmp_path: Path) -> None:
    filled = threading.Event()
    # More than what a page that is not full yet could still take.
    with site(tmp_path, sees="a long look, " * 600) as made:

        def run_full() -> None:
            if not filled.is_set():
                filled.set()
                fill(made)

        made.action.looking = run_full
        made.open()
        made.start()
        made.seen.until(full(made))
        assert made.effects() == []
        assert "step_intended" not in [r.kind for r in made.ledger.records("INC-1")]

        make_room(made)
        made.seen.until(made.seen.has("resolved"))
        assert made.effects() == ["INC-1/S1/1"]
        assert verify(made.ledger, "INC-1").ok


@pytest.mark.promise("L3")
def test_an_outcome_that_cannot_be_written_is_kept_until_it_can(tmp_path: Path) -> None:
    filled = threading.Event()
    with site(tmp_path, output="a long answer, " * 600) as made:

        def run_full(_: ActionRequest) -> None:
            filled.set()
            fill(made)

        made.action.after = run_full
        made.open()
        made.start()
        made.seen.until(full(made))
        assert made.effects() == ["INC-1/S1/1"]
        assert made.ledger.records("INC-1")[-1].kind == "step_intended"

        make_room(made)
        made.seen.until(made.seen.has("resolved"))
        assert "step_finished" in made.seen.kinds(), "the outcome was forgotten"
        assert "step_in_doubt" not in made.seen.kinds()
        assert made.effects() == ["INC-1/S1/1"]


@pytest.mark.promise("L10")
def test_a_worker_that_was_overtaken_reports_late_and_its_report_is_only_evidence(
    tmp_path: Path,
) -> None:
    acting, go = threading.Event(), threading.Event()

    def pause(_: ActionRequest) -> None:
        acting.set()
        go.wait(10)

    with site(tmp_path, before=pause) as first:
        patient(first)
        first.open()
        first.start()
        assert acting.wait(10)

        with site(tmp_path, worker="w-2", clock=LaterClock(60)) as second:
            second.start()
            second.seen.until(second.seen.has("step_reconciled"))
            go.set()
            second.seen.until(second.seen.has("late_report"))
            second.seen.until(second.seen.has("resolved"))

            assert effects(tmp_path) == ["INC-1/S1/1"], "the target remembers the key"
            assert "step_finished" not in second.seen.kinds()
            assert verify(second.ledger, "INC-1").ok


def test_an_opening_while_the_lease_of_a_dead_worker_runs_opens_no_second_incident(
    tmp_path: Path,
) -> None:
    with site(tmp_path, worker="w-dead") as dead:
        dead.open()
        with site(tmp_path, worker="w-2") as second:
            second.start()
            second.open()
            second.open("stock")
            second.seen.until(second.seen.has("resolved", "INC-2"))

            assert list(second.ledger.incident_ids()) == ["INC-1", "INC-2"]


def test_an_error_of_our_own_that_stays_holds_the_incident_and_calls_a_person(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as made:
        made.readings.broken.set()
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))

        assert "Holdfast itself failed 3 times" in made.state().held["why"]  # type: ignore[index]
        assert made.effects() == []


def test_a_chain_that_cannot_be_read_stops_no_other_incident(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.open("stock")
        made.engine.cases.clear()
    db = apsw.Connection(str(tmp_path / "holdfast.db"))
    db.execute("update record set body = x'00' where incident_id = 'INC-1'")
    db.close()
    with site(tmp_path, worker="w-2", clock=LaterClock(60)) as second:
        second.start()
        second.seen.until(lambda: any("can't be taken over" in t for t in second.seen.troubles))
        second.open("shop")
        second.seen.until(second.seen.has("resolved", "INC-2"))


def test_a_check_that_raises_delays_nothing_and_is_told(tmp_path: Path) -> None:
    def raises(_: CheckContext) -> dict[str, object]:
        raise OSError("no route to host")

    with site(tmp_path, checks=[Look(name="far", act=raises), Look(name="near")]) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("resolved"))
        checks = made.state().checks

        assert checks["far"]["status"] == "down"
        assert "no route to host" in checks["far"]["error"]
        assert checks["near"]["status"] == "healthy"


def test_readings_that_stop_after_the_action_hold_instead_of_resolving(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.action.after = lambda _: made.readings.stopped.set()
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))

        assert made.state().steps[0].status is StepStatus.UNVERIFIED
        assert "resolved" not in made.seen.kinds()
        assert "recovery is not proven" in made.state().held["why"]  # type: ignore[index]


def test_a_lease_is_renewed_while_an_action_takes_its_time(tmp_path: Path) -> None:
    clock = PassingClock(0)
    acting, go = threading.Event(), threading.Event()

    def pause(_: ActionRequest) -> None:
        acting.set()
        go.wait(10)

    with site(tmp_path, clock=clock, before=pause, kind=Repeatability.PROBEABLE) as made:
        patient(made)
        made.open()
        made.start()
        assert acting.wait(10)
        claim = made.engine.cases["INC-1"].claim
        clock.ahead = timedelta(seconds=20)
        pauses = threading.Event()
        for _ in range(200):
            if made.ledger.lease_left_s(claim) > 20:
                break
            pauses.wait(0.02)
        assert made.ledger.lease_left_s(claim) > 20, "the lease was not renewed"
        go.set()
