"""What people ask for is carried out once, refused with a reason, and always answered."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.kernel import SYSTEM
from holdfast.response.asked import NEEDED_SCOPE
from holdfast.response.commands import Intend, Prepare, Write
from tests.response.response_parts import Play
from tests.response.response_world import BOT, GOOD, runbook, world

NO_FIT = runbook("${entity}", incident_type="service_down")


def waiting(**more: Any) -> Play:  # noqa: ANN401 - any field of Play
    """A step of high impact waits for an approval."""
    return Play(world=world(runbook("${entity}", impact="high")), **more).open().run()


def held() -> Play:
    """Nothing fits; a person was called."""
    return Play(world=world(NO_FIT)).open().run().wait(3)


# --- approvals


def test_a_step_of_high_impact_waits_for_a_person_who_is_called_with_the_reason() -> None:
    play = waiting()
    step = play.state.steps[0]

    assert step.status is StepStatus.AWAITING_APPROVAL
    assert not play.held()
    assert play.state.pages == 1
    assert "waits for a person's approval" in play.last(Kind.ESCALATED)["why"]
    assert play.last(Kind.APPROVAL_REQUESTED)["hash"] == step.hash


def test_supervised_asks_for_every_step_whatever_its_impact() -> None:
    play = Play(world=world(mode="supervised")).open().run()

    assert play.state.waiting_for == ("approval",)


def test_an_approved_step_is_judged_once_more_and_then_intended() -> None:
    play = waiting()
    before = play.count(Prepare)
    answer = play.ask("approve", step_id="S1", hash=play.state.steps[0].hash, because="read it")

    assert answer.ok
    assert play.count(Prepare) == before + 1
    assert play.count(Intend) == 1


def test_an_approved_step_is_still_refused_by_what_changed_since() -> None:
    play = waiting()
    play.problem = "the socket is gone"
    play.ask("approve", step_id="S1", hash=play.state.steps[0].hash, because="read it")

    assert play.count(Intend) == 0
    assert play.held()


@pytest.mark.parametrize("given", ["", "abc", "0" * 64])
def test_another_hash_approves_nothing(given: str) -> None:
    play = waiting()
    answer = play.ask("approve", step_id="S1", hash=given, because="yes")

    assert not answer.ok
    assert "is not that of step S1" in answer.message
    assert play.count(Intend) == 0


def test_an_approval_counts_once() -> None:
    play = waiting()
    digest = play.state.steps[0].hash
    play.ask("approve", step_id="S1", hash=digest, because="yes")
    second = play.ask("approve", step_id="S1", hash=digest, because="yes")

    assert not second.ok
    assert play.count(Intend) == 1


def test_a_denial_holds_and_calls_nobody_else() -> None:
    play = waiting()
    play.ask("deny", step_id="S1", because="not on a Friday")
    play.wait(300)

    assert play.held()
    assert "not on a Friday" in play.held()
    assert (play.count(Intend), play.state.pages) == (0, 1)


def test_an_approval_that_nobody_gives_expires_and_holds() -> None:
    play = waiting()
    play.wait(130)

    assert play.state.steps[0].status is StepStatus.BLOCKED
    assert play.held()
    assert "nobody approved rollback_deploy on shop-api in time" in play.held()
    assert play.count(Intend) == 0


def test_a_trouble_that_ends_while_a_step_waits_takes_the_step_back() -> None:
    play = waiting()
    play.level(GOOD)
    play.wait(20)
    answer = play.ask("approve", step_id="S1", hash=play.state.steps[0].hash, because="yes")

    assert play.phase() is Phase.RESOLVED
    assert play.state.waiting_for == ()
    assert not answer.ok
    assert play.count(Intend) == 0


# --- directives


def test_a_directive_lifts_the_hold_that_waited_for_it_and_is_judged_like_any_step() -> None:
    play = held()
    assert play.state.waiting_for == ("directive",)
    answer = play.direct()
    play.level(GOOD)
    play.wait(15)

    assert answer.ok
    assert answer.data["step_id"] == "S1"
    assert play.count(Intend) == 1
    assert play.phase() is Phase.RESOLVED
    assert play.last(Kind.RESOLVED)["by_step"] == "S1"
    proposed = next(r for r in play.records if r.kind == Kind.STEP_PROPOSED)
    directive = next(r for r in play.records if r.kind == Kind.DIRECTIVE_RECEIVED)
    assert (proposed.actor.id, proposed.cause) == ("dana", directive.seq)


def test_a_directive_is_refused_while_a_person_holds_the_incident() -> None:
    play = Play(world=world(mode="supervised")).open().run()
    play.ask("deny", step_id="S1", because="wait")
    play.ask("resume", because="hm")
    play.ask("hold", because="nobody touches it")
    answer = play.direct()

    assert not answer.ok
    assert "holdfast resume" in answer.message
    assert play.count(Intend) == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"action": "format_disk"}, "action 'format_disk' is unknown; known are"),
        ({"target": "elsewhere"}, "service 'elsewhere' is not in the catalogue; known are"),
        ({"expect": ["errors <<< 3"]}, "column"),
        ({"expect": ['errors{service="nobody"} < 1 for 6s']}, "'nobody' is not in the catalogue"),
    ],
)
def test_a_directive_that_makes_no_sense_is_refused_before_anything_is_proposed(
    more: dict[str, Any], why: str
) -> None:
    play = held()
    written = len(play.records)
    answer = play.direct(**more)

    assert not answer.ok
    assert why in answer.message
    assert len(play.records) == written


def test_a_directive_waits_until_the_step_before_it_is_over() -> None:
    proposed = waiting().direct()
    verifying = Play().open().run().direct()
    undiagnosed = Play().open().direct()

    assert "one step at a time" in proposed.message
    assert "one step at a time" in verifying.message
    assert "wait for the diagnosis" in undiagnosed.message
    assert not any(answer.ok for answer in (proposed, verifying, undiagnosed))


def test_a_directive_without_a_criterion_is_blocked_and_calls_nobody_else() -> None:
    play = held()
    play.direct(expect=[])
    play.wait(300)

    assert "no recovery criterion" in play.last(Kind.STEP_BLOCKED)["why"]
    assert play.held()
    assert (play.count(Intend), play.count(Kind.ESCALATED)) == (0, 1)


def test_after_a_step_that_did_not_help_a_person_can_direct_another_one() -> None:
    play = Play().open().run().wait(40)
    assert play.state.steps[0].status is StepStatus.UNVERIFIED
    answer = play.direct()

    assert answer.ok
    assert play.count(Intend) == 2
    assert play.state.plan is not None
    assert play.state.plan.runbook == "directed"


def test_after_a_directive_the_runbook_does_not_go_on_by_itself() -> None:
    play = Play(world=world(runbook("${entity}", "${entity}"), mode="guided")).open().run()
    play.charter()
    play.direct()
    play.wait(100)

    assert play.count(Intend) == 1
    assert play.held()


# --- the others


def test_dismiss_and_merge_end_an_incident_and_take_back_its_open_step() -> None:
    for kind in ("dismiss", "merge"):
        play = waiting()
        answer = play.ask(kind, because="I know", into="INC-7")
        assert answer.ok
        assert play.state.steps[0].status is StepStatus.BLOCKED
        assert play.state.ended


def test_an_incident_is_not_merged_into_itself() -> None:
    assert not held().ask("merge", into="INC-1", because="same").ok


def test_only_an_ended_incident_is_closed_and_an_ended_one_takes_notes_and_labels_only() -> None:
    play = held()
    assert not play.ask("close", because="done").ok
    play.ask("dismiss", because="a drill")

    assert play.ask("label", label="false_alarm", because="a drill").ok
    assert play.ask("note", text="see the drill's page").ok
    for kind in ("ack", "hold", "resume", "did", "dismiss", "direct"):
        data: dict[str, Any] = {"action": "rollback_deploy", "target": "shop-api", "because": "x"}
        assert not play.ask(kind, **data).ok, kind
    assert play.ask("close", because="written up").ok
    assert play.phase() is Phase.CLOSED


def test_holding_and_resuming_twice_is_refused_with_what_is() -> None:
    play = held()
    assert play.ask("hold", because="mine now").ok
    assert "is held already" in play.ask("hold", because="stop").message
    play.level(GOOD)
    play.now += timedelta(seconds=2)
    assert play.ask("resume", because="go").ok
    assert "is not held" in play.ask("resume", because="go").message


def test_what_a_person_did_by_hand_is_recorded_with_the_target_as_it_is_now() -> None:
    play = held()
    answer = play.ask("did", action="rollback_deploy", target="shop-api", because="faster")

    assert "current=2.3.9" in answer.message
    assert play.last(Kind.MANUAL_ACTION_REPORTED)["observed"] == {"current": "2.3.9"}
    assert play.count(Intend) == 0


def test_what_was_done_by_hand_is_recorded_although_nobody_could_look_at_the_target() -> None:
    play = Play(world=world(NO_FIT), problem="the socket is gone").open().run().wait(3)
    answer = play.ask("did", action="rollback_deploy", target="shop-api", because="faster")

    said = "recorded; shop-api could not be looked at: the socket is gone"
    assert (answer.ok, answer.message) == (True, said)


def test_a_refused_token_changes_nothing_and_says_why() -> None:
    play = held()
    written = len(play.records)
    answer = play.ask("resume", actor=BOT, refusal="an agent can't hold `direct`", because="go")

    assert (answer.ok, answer.message) == (False, "an agent can't hold `direct`")
    assert len(play.records) == written


@pytest.mark.parametrize("kind", sorted({*NEEDED_SCOPE, "from_the_future"}))
def test_a_request_that_cannot_be_read_is_answered_and_does_not_stop_the_incident(
    kind: str,
) -> None:
    play = held()
    answer = play.ask(kind)

    assert answer.ok == (kind in {"ack", "look"}), "these two need no words"
    assert play.phase() is Phase.DIAGNOSING


def test_the_answer_is_written_in_the_same_transaction_as_what_was_asked_for() -> None:
    play = waiting()
    play.ask("approve", step_id="S1", hash=play.state.steps[0].hash, because="yes")
    play.ask("did", action="rollback_deploy", target="shop-api", because="by hand")

    answered = [name for c in play.told if isinstance(c, Write) for name in c.answers]
    assert answered == ["r-1", "r-2"]


def test_a_settlement_needs_a_step_in_doubt() -> None:
    play = held()
    answer = play.ask("settle", actor=SYSTEM, step_id="S9", happened=True, evidence="seen")

    assert not answer.ok
    assert "there is nothing to settle" in answer.message
