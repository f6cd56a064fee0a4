"""Directives, undo and approvals against a running engine: once, in order, and after a restart."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.app.tokens import all_scopes, create_token
from holdfast.incident import Kind, Step, StepStatus
from holdfast.incident.system import FROZEN
from holdfast.kernel import SYSTEM, Actor, ActorKind, SystemClock
from holdfast.ledger import MemoryLedger
from holdfast.response.ports import ActionRequest
from holdfast.response.store import Answer, Request
from tests.engine.engine_parts import Site, make_site, site, with_world
from tests.engine.marks import lose

HELPS = 'errors{service="shop"} <= baseline * 1.2 + 0.02 for 100ms in each region'
NEVER = 'errors{service="shop"} < 0.001 for 100ms in each region'
BAD_AGAIN = 'errors{service="shop"} > 0.1 for 100ms in each region'


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    """Nothing fits, so a person is called and directs; on the memory store."""
    with site(tmp_path, ledger=MemoryLedger(SystemClock())) as one:
        timing = replace(one.engine.carrier.world.timing, sustain_s=0.1)
        with_world(one, mode="supervised", runbooks=(), timing=timing)
        one.dana()
        one.open()
        one.start()
        one.seen.until(one.seen.has("paged"))
        yield one


def direct(made: Site, **more: Any) -> Answer:  # noqa: ANN401 - any field of a directive
    data: dict[str, Any] = {
        "action": "write_mark", "target": "shop", "because": "it is stuck", "expect": [HELPS],
        "timeout_s": 0.5,
    }  # fmt: skip
    return made.answer(made.submit("direct", **data | more))


def done(made: Site) -> Step:
    """One directed step was performed; its criterion was not met, so it is held."""
    assert direct(made, expect=[NEVER]).ok
    made.seen.until(made.seen.has("verification_recorded"))
    assert made.effects() == ["INC-1/S1/1"]
    return made.state().steps[0]


def test_a_dry_run_reads_the_live_state_and_leaves_no_record(made: Site) -> None:
    written = len(made.ledger.records("INC-1"))
    told = direct(made, dry_run=True).data

    assert len(made.ledger.records("INC-1")) == written
    assert made.effects() == []
    assert told["verdict"]["decision"] == "allow"
    assert told["live"]["series"]["errors of shop in east"]["value"] == 0.31
    assert told["live"]["checks"]["http_health"]["status"] == "healthy"
    assert told["undo"] == "remove the line"


def test_a_target_that_changed_since_the_dry_run_is_named_with_what_changed(made: Site) -> None:
    made.action.sees = "ready"
    seen = direct(made, dry_run=True).data["seen"]
    made.action.sees = "drained"
    direct(made, seen=seen, when=["true"])
    made.seen.until(made.seen.has("step_blocked"))

    assert made.effects() == []
    assert "sees was 'ready' and is 'drained'" in made.state().held["why"]  # type: ignore[index]


def test_a_source_that_went_silent_refuses_the_directive(made: Site) -> None:
    made.readings.stopped.set()
    direct(made)
    made.seen.until(made.seen.has("step_blocked"))

    assert made.effects() == []
    assert "was never sampled" in made.state().held["why"]  # type: ignore[index]


def test_an_undo_goes_to_the_target_with_the_undone_attempts_own_request(made: Site) -> None:
    first = done(made)
    seen: list[ActionRequest] = []
    made.action.before = seen.append
    answer = made.answer(
        made.submit("undo", step_id="S1", because="not that after all", expect=[BAD_AGAIN])
    )
    made.seen.until(lambda: made.seen.kinds().count("verification_recorded") == 2)

    assert answer.data == {"step_id": "S2"}
    assert made.effects() == []
    [request] = seen
    assert request.idempotency_key == first.idempotency_key == "INC-1/S1/1"
    assert request.pre_image == first.pre_image
    steps = {step.step_id: step for step in made.state().steps}
    assert steps["S1"].status is StepStatus.REVERSED
    assert steps["S2"].status is StepStatus.VERIFIED
    assert steps["S2"].idempotency_key == "INC-1/S2/1"


def test_an_undo_whose_reply_was_lost_is_proven_by_the_target_being_as_before(made: Site) -> None:
    done(made)
    made.action.after = lose
    made.answer(made.submit("undo", step_id="S1", because="not that after all", expect=[BAD_AGAIN]))
    made.seen.until(made.seen.has("step_reconciled"))

    reconciled = next(r for r in made.ledger.records("INC-1") if r.kind == Kind.STEP_RECONCILED)
    assert reconciled.data["evidence"] == "shop is as it was before step S1"
    assert made.state().steps[0].status is StepStatus.REVERSED


def test_an_undo_that_did_not_get_through_is_held_in_doubt_and_not_done_again(made: Site) -> None:
    done(made)
    made.action.before = lose
    made.answer(made.submit("undo", step_id="S1", because="not that after all", expect=[BAD_AGAIN]))
    made.seen.until(lambda: made.state().unsettled and made.state().held)

    assert made.effects() == ["INC-1/S1/1"]
    assert made.state().steps[0].status is not StepStatus.REVERSED
    assert "it is not repeated" in made.state().held["why"]  # type: ignore[index]
    assert "step_repeated" not in made.seen.kinds()


def test_a_look_reads_every_target_that_was_touched(made: Site) -> None:
    done(made)
    answer = made.answer(made.submit("look"))

    assert answer.data["targets"]["shop"]["reachable"] is True
    assert answer.data["checks"]["http_health"]["status"] == "healthy"


# --- approvals


STORES = ("sqlite", "postgres")


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    server = request.getfixturevalue("durable_postgres")
    with server.ledger_url() as found:
        yield found


def waiting(directory: Path, url: str | None, worker: str = "w-1") -> Site:
    """A supervised installation; nothing is performed without a person's yes."""
    made = make_site(directory, worker=worker, url=url)
    with_world(made, mode="supervised")
    return made


def asked(directory: Path, url: str | None) -> Site:
    """A step waits for an approval."""
    made = waiting(directory, url)
    made.dana()
    made.open()
    made.start()
    made.seen.until(made.seen.has("approval_requested"))
    return made


def person(made: Site, name: str) -> Actor:
    _, fact = create_token(
        made.ledger, name=name, kind="person", scopes=all_scopes("person"), days=1, by=SYSTEM,
        now=made.clock.now(),
    )  # fmt: skip
    return Actor(kind=ActorKind.HUMAN, id=name, token_id=fact.token_id)


def ask(made: Site, who: Actor, kind: str, **data: object) -> Callable[[], Answer]:
    """Prepare a request; called, it is sent and answered."""

    def sent() -> Answer:
        name = f"{who.id}/{kind}"
        made.ledger.submit(
            Request(
                id=name, n=0, incident_id="INC-1", kind=kind, actor=who, data=data,
                at=made.clock.now(),
            )
        )  # fmt: skip
        made.engine.wake.set()
        return made.answer(name)

    return sent


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do them all at the same moment, each in a thread of its own."""
    gate, results = threading.Barrier(len(works)), [None] * len(works)

    def run(number: int) -> None:
        gate.wait(10)
        results[number] = works[number]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    return results


def yes(made: Site) -> dict[str, object]:
    return {"step_id": "S1", "hash": made.state().steps[0].hash, "because": "read it"}


@pytest.mark.promise("L13")
def test_an_approval_is_asked_for_given_and_used_over_three_lives_of_the_worker(
    tmp_path: Path, url: str | None
) -> None:
    first = asked(tmp_path, url)
    who, words = first.dana(), yes(first)
    first.close()
    between = waiting(tmp_path, url, "w-2")
    between.ledger.submit(
        Request(
            id="yes", n=0, incident_id="INC-1", kind="approve", actor=who, data=words,
            at=between.clock.now(),
        )
    )  # fmt: skip
    between.close()
    last = waiting(tmp_path, url, "w-3")
    try:
        last.start()
        last.seen.until(last.seen.has("step_finished"))
        assert last.effects() == ["INC-1/S1/1"]
        [granted] = [r for r in last.ledger.records("INC-1") if r.kind == Kind.APPROVAL_GRANTED]
        assert granted.actor.id == "dana"
    finally:
        last.close()


def test_of_two_approvers_at_once_one_counts_and_the_step_is_done_once(
    tmp_path: Path, url: str | None
) -> None:
    made = asked(tmp_path, url)
    try:
        people = [made.dana(), person(made, "ravi")]
        answers = at_once(*(ask(made, who, "approve", **yes(made)) for who in people))
        made.seen.until(made.seen.has("step_finished"))

        assert sorted(answer.ok for answer in answers) == [False, True]
        assert made.effects() == ["INC-1/S1/1"]
        assert made.seen.kinds().count("approval_granted") == 1
    finally:
        made.close()


def test_of_a_yes_and_a_no_at_once_exactly_one_counts(tmp_path: Path, url: str | None) -> None:
    made = asked(tmp_path, url)
    try:
        ravi = person(made, "ravi")
        approved, denied = at_once(
            ask(made, made.dana(), "approve", **yes(made)),
            ask(made, ravi, "deny", step_id="S1", because="not on a Friday"),
        )
        ended = ("step_finished", "approval_denied")
        made.seen.until(lambda: any(kind in made.seen.kinds() for kind in ended))

        # Both were in the inbox when neither was used: then the no has the last word.
        assert denied.ok or approved.ok
        assert len(made.effects()) == int(not denied.ok)
        if denied.ok:
            assert made.state().held
    finally:
        made.close()


def test_an_approval_and_a_freeze_at_once_act_before_the_freeze_or_not_at_all(
    tmp_path: Path, url: str | None
) -> None:
    made = asked(tmp_path, url)
    try:
        data = {"scope": "all", "because": "storage maintenance"}

        def freeze() -> int:
            return made.ledger.append_system(FROZEN, data, made.dana(), made.clock.now())

        approved, _ = at_once(ask(made, made.dana(), "approve", **yes(made)), freeze)
        ended = ("step_finished", "step_blocked")
        made.seen.until(lambda: any(kind in made.seen.kinds() for kind in ended))

        assert approved.ok
        blocked = "step_blocked" in made.seen.kinds()
        assert len(made.effects()) == int(not blocked)
        if blocked:
            assert "dana froze all" in made.state().held["why"]  # type: ignore[index]
    finally:
        made.close()


def test_a_freeze_between_the_guard_and_the_intent_of_an_approved_step_stops_it(
    tmp_path: Path, url: str | None
) -> None:
    made = asked(tmp_path, url)
    try:
        data = {"scope": "service:shop", "because": "storage maintenance"}
        done: list[int] = []

        def freeze() -> None:
            if not done:
                now = made.clock.now()
                done.append(made.ledger.append_system(FROZEN, data, made.dana(), now))

        made.action.looking = freeze
        ask(made, made.dana(), "approve", **yes(made))()
        made.seen.until(made.seen.has("step_blocked"))
        assert made.effects() == []
        assert "dana froze service:shop" in made.state().held["why"]  # type: ignore[index]
    finally:
        made.close()
