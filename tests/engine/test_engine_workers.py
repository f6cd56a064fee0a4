"""Several workers on one store: one fault is one incident, and what waits costs nothing."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.engine import hands
from holdfast.engine.case import Case
from holdfast.incident import Draft, Kind, Phase, State, StepStatus
from holdfast.kernel import SYSTEM, SystemClock
from holdfast.ledger import MemoryLedger, SqliteLedger
from holdfast.response.commands import Prepare
from holdfast.response.events import Prepared
from holdfast.response.ports import ActionRequest, Repeatability
from holdfast.response.store import Request
from tests.engine.counted_ledger import Counted
from tests.engine.engine_parts import LaterClock, Site, facts, site, with_world
from tests.engine.marks import effects, lose


def wait_for(condition: Callable[[], object], what: str) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(what)


def counted(directory: Path) -> Counted:
    return Counted(SqliteLedger(directory / "holdfast.db", SystemClock()))


def left_by_a_dead_worker(made: Site, count: int) -> None:
    """Open incidents whose worker wrote an intent on a target each, and nothing after it."""
    with site(made.directory, worker="w-pattern", before=lose, kind=Repeatability.NONE) as pattern:
        pattern.open("stock")
        pattern.start()
        pattern.seen.until(pattern.seen.has("step_in_doubt"))
    kinds = [r.kind for r in pattern.seen.records]
    records = pattern.seen.records[: kinds.index("step_intended") + 1]
    drafts = [Draft(kind=Kind(r.kind), data=r.data, cause=r.cause) for r in records]
    pairs = []
    for _ in range(count):
        claim = made.ledger.open_incident("w-dead", 30)
        case = Case(claim=claim, state=State(incident_id=claim.incident_id))
        pairs.append((case, drafts))
    problems = made.engine.carrier.journal.write_many(pairs)
    assert not any(problems)


def test_what_detection_sees_on_an_incident_of_another_worker_reaches_it_through_the_inbox(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as first, site(tmp_path, worker="w-2") as second:
        with_world(first, mode="observe")
        first.open()
        first.start()
        first.seen.until(first.seen.has("paged"))
        (signal,) = facts("shop", first.clock.now()).signals
        other = {**signal, "series": "shop/west/errors", "region": "west"}
        seen = replace(facts("shop", first.clock.now()), signals=(other,))
        second.engine.opening(seen)

        first.seen.until(first.seen.has("signal_attached"))
        assert list(first.ledger.incident_ids()) == ["INC-1"]
        assert "shop/west/errors" in first.state().signals
        assert second.engine.known()[0].incident_id == "INC-1"


def test_a_flood_of_the_same_sight_is_one_request(tmp_path: Path) -> None:
    with site(tmp_path) as first, site(tmp_path, worker="w-2") as second:
        first.open()
        for _ in range(50):
            second.engine.opening(facts("shop", second.clock.now()))

        assert len(second.ledger.requests("INC-1")) == 1
        assert list(second.ledger.incident_ids()) == ["INC-1"]


def test_one_fault_that_is_told_by_many_threads_at_once_is_one_incident(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        together = threading.Barrier(12)

        def tell() -> None:
            together.wait(10)
            made.engine.opening(facts("shop", made.clock.now()))

        threads = [threading.Thread(target=tell) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert list(made.ledger.incident_ids()) == ["INC-1"]
        assert len(made.engine.cases) == 1


def test_an_incident_that_only_waits_is_parked_and_wakes_when_it_is_asked(tmp_path: Path) -> None:
    with site(tmp_path, kind=Repeatability.NONE, before=lose, lease_s=0.4) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))
        wait_for(lambda: not made.engine.cases, "it was not parked")
        assert [s.incident_id for s in made.engine.live()] == ["INC-1"]

        answer = made.answer(made.submit("note", text="I am looking at it"))
        assert answer.ok
        assert made.state().held is not None


def test_a_parked_incident_comes_back_when_its_time_has_come(tmp_path: Path) -> None:
    with site(tmp_path, kind=Repeatability.NONE, before=lose, lease_s=0.3) as made:
        timing = replace(made.engine.carrier.world.timing, ack_timeout_s=1.5)
        with_world(made, timing=timing)
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))
        wait_for(lambda: not made.engine.cases, "it was not parked")

        wait_for(lambda: made.engine.cases, "nobody looked at it when its time had come")


def test_what_detection_sees_on_a_parked_incident_wakes_it(tmp_path: Path) -> None:
    with site(tmp_path, kind=Repeatability.NONE, before=lose, lease_s=0.3) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))
        wait_for(lambda: not made.engine.cases, "it was not parked")
        (signal,) = facts("shop", made.clock.now()).signals
        made.engine.seen("INC-1", ({**signal, "state": "returned"},), {})

        made.seen.until(made.seen.has("signal_attached"))


def test_incidents_that_wait_cost_the_store_nothing_and_the_engine_does_not_spin(
    tmp_path: Path,
) -> None:
    with site(tmp_path, kind=Repeatability.NONE) as dead:
        left_by_a_dead_worker(dead, 100)
    later = LaterClock(60)
    counts = Counted(SqliteLedger(tmp_path / "holdfast.db", later))
    with site(tmp_path, ledger=counts.promised, clock=later, kind=Repeatability.NONE) as made:
        made.start()
        wait_for(lambda: len(made.pages.sent) >= 101, "not all were held and told")
        wait_for(lambda: quiet(made), "some are still being worked on")
        counts.calls.clear()
        began = later.monotonic()
        wait_for(lambda: counts.calls["waiting"] >= 5, "the engine does no rounds")
        asked, rounds = sum(counts.calls.values()), counts.calls["waiting"]

        assert len(made.engine.cases) == 101
        assert asked <= 4 * (rounds + 1), dict(counts.calls)
        assert later.monotonic() - began > 0.5


def quiet(made: Site) -> bool:
    return not any(case.busy or case.mail for case in list(made.engine.cases.values()))


def test_what_a_dead_worker_left_is_found_in_doubt_in_a_few_commits(tmp_path: Path) -> None:
    with site(tmp_path, kind=Repeatability.NONE) as dead:
        left_by_a_dead_worker(dead, 120)
    counts = Counted(SqliteLedger(tmp_path / "holdfast.db", LaterClock(60)))
    with site(
        tmp_path,
        ledger=counts.promised,
        worker="w-2",
        clock=LaterClock(60),
        kind=Repeatability.NONE,
    ) as second:
        second.engine.wake.set()
        cases, troubles, more = second.engine._takeover.next()

        assert (troubles, more) == ([], False)
        marked = [c for c in cases if c.state.steps[0].status is StepStatus.IN_DOUBT]
        assert len(marked) == 121
        assert (counts.calls["append_many"], counts.calls["append"]) == (1, 0)
        assert (counts.calls["records_of"], counts.calls["records"]) == (1, 0)


@pytest.mark.promise("L10")
def test_an_answer_that_comes_after_the_step_was_given_up_is_kept_as_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "_GRACE_S", 0.05)
    go = threading.Event()

    def hang(_: ActionRequest) -> None:
        go.wait(10)

    with site(tmp_path, before=hang, kind=Repeatability.NONE) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("held"))
        go.set()
        made.seen.until(made.seen.has("late_report"))

        (report,) = [r for r in made.seen.records if r.kind == "late_report"]
        assert (report.data["summary"], report.data["ok"]) == ("marked", True)
        state = made.state()
        assert state.steps[0].status is StepStatus.IN_DOUBT, "it is evidence and no outcome"
        assert state.held is not None


def late(made: Site, name: str) -> str:
    data: Mapping[str, Any] = {"step_id": "S1", "summary": "it worked after all"}
    request = Request(
        id=name, n=0, incident_id="INC-1", kind="late_report", actor=SYSTEM, data=data,
        at=made.clock.now(),
    )  # fmt: skip
    made.ledger.submit(request)
    return name


@pytest.mark.promise("L10")
def test_a_late_report_is_recorded_in_an_incident_that_has_ended(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("resolved"))
        assert made.answer(late(made, "late-1")).ok

        assert made.seen.kinds()[-1] == "late_report"
        assert made.state().phase is Phase.RESOLVED


def test_while_the_store_is_away_the_outcome_is_kept_in_hand_and_trouble_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.drive._BACK_OFF_S", 0.05)
    counts = counted(tmp_path)
    with site(tmp_path, ledger=counts.promised, after=lambda _: counts.away.set()) as made:
        made.open()
        made.start()
        wait_for(lambda: made.engine.away, "the engine did not notice")
        counts.calls.clear()
        wait_for(lambda: counts.calls["claim_many"] > 3, "it does not try again")
        assert made.seen.kinds()[-1] == "step_intended"
        counts.away.clear()
        made.seen.until(made.seen.has("resolved"))

        assert made.engine.away is None
        assert "step_finished" in made.seen.kinds()
        assert "step_in_doubt" not in made.seen.kinds()
        assert made.seen.troubles == ["the store is away; start it again"]
        assert effects(tmp_path) == ["INC-1/S1/1"]


@pytest.mark.promise("L9")
def test_a_worker_whose_lease_is_gone_stops_at_the_next_boundary(tmp_path: Path) -> None:
    acting, go = threading.Event(), threading.Event()

    def pause(_: ActionRequest) -> None:
        acting.set()
        go.wait(10)

    with site(tmp_path, before=pause, lease_s=0.4, kind=Repeatability.PROBEABLE) as first:
        (book,) = first.engine.carrier.world.runbooks
        patient = replace(book, steps=(replace(book.steps[0], timeout_s=8.0),))
        with_world(first, runbooks=(patient,))
        first.open()
        first.start()
        assert acting.wait(10)
        case = first.engine.cases["INC-1"]
        with site(tmp_path, worker="w-2", clock=LaterClock(60)) as thief:
            assert thief.ledger.claim_one("INC-1", "w-2", 30) is not None
            case.lease_until = first.clock.monotonic()
            wait_for(lambda: case.lost, "it was not noticed")
            records = len(thief.ledger.records("INC-1"))
            go.set()
            wait_for(lambda: "INC-1" not in first.engine.cases, "it was not dropped")

            assert len(thief.ledger.records("INC-1")) == records
            (report,) = thief.ledger.requests("INC-1")
            assert (report.kind, report.data["summary"]) == ("late_report", "marked")


def test_what_was_done_to_a_place_by_its_other_name_is_in_the_log_that_the_guard_is_shown(
    tmp_path: Path,
) -> None:
    with site(tmp_path, ledger=MemoryLedger(SystemClock())) as made:
        made.open()
        made.start()
        made.seen.until(made.seen.has("step_intended"))
        made.stop()
        claim = made.ledger.open_incident("w-other", 30)
        asked = Prepare(
            step_id="S1", action="mark", target="shop@east", params={}, services=("shop",),
            started_at=made.clock.now(), series=(), checks=(), aliases=("shop",),
        )  # fmt: skip
        case = Case(claim=claim, state=State(incident_id=claim.incident_id))
        prepared = made.engine.carrier.carry_out(case, asked)

    assert isinstance(prepared, Prepared)
    assert [entry.target for entry in prepared.log] == ["shop"]
