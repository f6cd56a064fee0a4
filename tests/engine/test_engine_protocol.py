"""The protocol of one step, on a real ledger: intent first, one effect, an outcome of its own."""

import threading
from pathlib import Path

import pytest

from holdfast.engine import hands
from holdfast.incident import Kind, Phase, StepStatus
from holdfast.incident.system import FROZEN
from holdfast.kernel import SYSTEM
from holdfast.ledger import verify
from holdfast.response.ports import ActionRequest, CheckContext, Repeatability
from tests.engine.engine_parts import Look, Site, site, with_world
from tests.engine.marks import lose


def resolved(made: Site, incident_id: str = "INC-1") -> None:
    made.seen.until(made.seen.has("resolved", incident_id))


def freeze(made: Site) -> None:
    made.ledger.append_system(FROZEN, {"scope": "all", "because": "stop"}, SYSTEM, made.clock.now())


@pytest.mark.promise("L5")
def test_a_step_is_durably_intended_before_it_has_an_effect_and_verified_after_it(
    tmp_path: Path,
) -> None:
    durable: list[list[str]] = []
    with site(tmp_path) as made:
        made.action.before = lambda _: durable.append(
            [r.kind for r in made.ledger.records("INC-1")]
        )
        made.open()
        made.start()
        resolved(made)
        kinds = made.seen.kinds()

        assert durable[0][-1] == "step_intended"
        steps = [kind for kind in kinds if kind.startswith(("step", "ver", "res"))]
        assert steps == [
            "step_proposed",
            "step_intended",
            "step_finished",
            "verification_recorded",
            "resolved",
        ]
        assert made.effects() == ["INC-1/S1/1"]
        assert verify(made.ledger, "INC-1").ok
        assert made.pages.sent == []


def test_the_request_carries_the_key_the_fence_the_time_and_the_pre_image(tmp_path: Path) -> None:
    requests: list[ActionRequest] = []
    with site(tmp_path) as made:
        made.action.before = requests.append
        made.open()
        made.start()
        resolved(made)

    (request,) = requests
    assert (request.idempotency_key, request.fence, request.timeout_s) == ("INC-1/S1/1", 1, 0.2)
    assert request.pre_image["marks"] == 0


def test_a_failure_without_effect_is_tried_again_with_the_next_number(tmp_path: Path) -> None:
    with site(tmp_path, fails=1) as made:
        made.open()
        made.start()
        resolved(made)

        assert made.effects() == ["INC-1/S1/2"]
        keys = [r.data["idempotency_key"] for r in made.seen.records if r.kind == "step_intended"]
        assert keys == ["INC-1/S1/1", "INC-1/S1/2"]


@pytest.mark.promise("L6", "L7")
def test_a_lost_reply_is_looked_at_and_never_done_twice(tmp_path: Path) -> None:
    with site(tmp_path, after=lose, kind=Repeatability.PROBEABLE) as made:
        made.open()
        made.start()
        resolved(made)

        assert made.effects() == ["INC-1/S1/1"]
        assert "step_reconciled" in made.seen.kinds()
        assert "step_finished" not in made.seen.kinds()


def test_a_hanging_action_leaves_its_step_in_doubt_and_the_engine_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "_GRACE_S", 0.05)
    go = threading.Event()

    def hang(request: ActionRequest) -> None:
        if request.target == "shop":
            go.wait(10)

    with site(tmp_path, before=hang, kind=Repeatability.PROBEABLE) as made:
        made.open("shop")
        made.start()
        made.seen.until(made.seen.has("paged"))
        made.open("stock")
        resolved(made, "INC-2")

        state = made.state()
        assert state.steps[0].status is StepStatus.IN_DOUBT
        assert state.held is not None
        assert made.effects() == []
        go.set()


def test_an_action_that_tries_to_end_the_process_is_only_a_lost_reply(tmp_path: Path) -> None:
    def leave(_: ActionRequest) -> None:
        raise SystemExit(3)

    with site(tmp_path, after=leave) as made:
        made.open()
        made.start()
        resolved(made)

        assert made.effects() == ["INC-1/S1/1"]


@pytest.mark.promise("L13")
def test_a_freeze_between_the_guard_and_the_intent_stops_the_step(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        # The target is observed after the guard's view of the installation was taken.
        made.action.looking = lambda: freeze(made) if made.ledger.system_seq() == 0 else None
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))

        assert made.effects() == []
        assert "step_intended" not in made.seen.kinds()
        assert "froze all: stop" in made.state().held["why"]  # type: ignore[index]


@pytest.mark.promise("L13")
def test_a_hold_that_arrives_between_the_guard_and_the_intent_is_decided_first(
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    with site(tmp_path) as made:
        made.dana()

        def ask() -> None:
            if not asked:
                asked.append(made.submit("hold", because="stop"))

        made.action.looking = ask
        made.open()
        made.start()
        made.seen.until(made.seen.has("held"))

        assert made.answer(asked[0]).ok
        assert made.effects() == []
        assert "step_intended" not in made.seen.kinds()


@pytest.mark.promise("L13")
def test_a_freeze_that_arrives_during_the_probe_stops_the_repeat(tmp_path: Path) -> None:
    with site(tmp_path, before=lose) as made:
        made.action.probing = lambda: freeze(made) if made.ledger.system_seq() == 0 else None
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))

        assert made.effects() == []
        assert "step_repeated" not in made.seen.kinds()
        assert "not repeated during the freeze" in made.state().held["why"]  # type: ignore[index]


@pytest.mark.promise("L5")
def test_a_repeat_is_written_down_before_it_is_performed(tmp_path: Path) -> None:
    durable: list[str] = []
    with site(tmp_path) as made:

        def lose_once(_: ActionRequest) -> None:
            durable.append(made.ledger.records("INC-1")[-1].kind)
            if len(durable) == 1:
                lose(_)

        made.action.before = lose_once
        made.open()
        made.start()
        resolved(made)

        assert durable == ["step_intended", "step_repeated"]
        assert made.effects() == ["INC-1/S1/1"]


def test_two_incidents_do_not_wait_for_each_other(tmp_path: Path) -> None:
    go = threading.Event()

    def slow(context: CheckContext) -> dict[str, object]:
        if "shop" in context.services:
            go.wait(4)
        return {}

    with site(tmp_path, checks=[Look(name="slow", act=slow)]) as made:
        made.open("shop")
        made.open("stock")
        made.start()
        made.seen.until(made.seen.has("step_finished", "INC-2"))
        assert made.seen.kinds("INC-1") == ["incident_opened"]
        go.set()
        resolved(made, "INC-1")

        assert (len(made.effects("shop")), len(made.effects("stock"))) == (1, 1)


@pytest.mark.promise("L15")
def test_stopping_finishes_the_step_in_hand_starts_no_other_and_gives_the_incident_back(
    tmp_path: Path,
) -> None:
    acting, go = threading.Event(), threading.Event()

    def wait(_: ActionRequest) -> None:
        acting.set()
        go.wait(10)

    with site(tmp_path, before=wait, fails=1) as made:
        made.open()
        made.start()
        assert acting.wait(10)
        made.engine.stop()
        go.set()
        made.stop()

        assert made.seen.kinds()[-1] == "step_finished"
        assert made.seen.kinds().count("step_intended") == 1
        assert made.ledger.claim_many("w-2", 30, 1), "it was not given back"


@pytest.mark.promise("L15")
def test_stopping_while_the_checks_run_begins_nothing_after_them(tmp_path: Path) -> None:
    looking, go = threading.Event(), threading.Event()

    def slow(_: CheckContext) -> dict[str, object]:
        looking.set()
        go.wait(4)
        return {}

    with site(tmp_path, checks=[Look(name="slow", act=slow)]) as made:
        made.open()
        made.start()
        assert looking.wait(10)
        made.engine.stop()
        go.set()
        made.stop()

        assert made.seen.kinds() == ["incident_opened"]
        assert made.effects() == []


def test_an_opening_on_the_services_of_an_open_incident_attaches_to_it(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        with_world(made, mode="observe")
        made.open()
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))
        made.open()

        assert list(made.ledger.incident_ids()) == ["INC-1"]
        assert made.engine.live()[0].incident_id == "INC-1"


@pytest.mark.promise("L2")
def test_a_person_is_answered_once_and_an_ended_incident_still_takes_a_label(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as made:
        made.open()
        made.start()
        resolved(made)
        first = made.answer(made.submit("label", label="true_alarm", because="it was real"))
        second = made.answer(made.submit("resume", because="go"))

        assert first.ok
        assert not second.ok
        assert made.seen.kinds().count(Kind.LABELLED) == 1
        assert made.state().phase is Phase.RESOLVED


def test_a_request_on_the_installation_itself_is_not_taken_for_an_incident(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.start()
        made.submit("hold", "_system", because="by mistake")
        made.open()
        resolved(made)

        assert [r.kind for r in made.ledger.records("_system")] == ["token_created"]
