"""An intent without an outcome: never failed, never blindly repeated, settled by proof or a person."""

from datetime import timedelta

import pytest

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.policy import Freeze
from holdfast.response.commands import Intend, Probe, Redo
from holdfast.response.events import ActionReturned, Woke
from holdfast.response.ports import ActionOutcome, Effect, Repeatability
from tests.response.response_parts import Play
from tests.response.response_world import GOOD, NO_EFFECT, NOBODY_KNOWS, SUCCEEDED, world
from tests.scene import START

NOT_TO_BE_REPEATED = (Repeatability.PROBEABLE, Repeatability.NONE)
REPEATABLE = (Repeatability.IDEMPOTENT, Repeatability.REFUSES_STALE_TOKEN)


def lost(
    probe: Effect,
    *outcomes: ActionOutcome | str,
    kind: Repeatability = Repeatability.IDEMPOTENT,
) -> Play:
    """A step whose reply was lost; then the target is looked at."""
    play = Play(world=world(kind=kind), probe=probe)
    play.outcomes.extend(outcomes or ("the reply was lost",))
    return play.open().run()


def held_in_doubt(play: Play) -> str:
    assert play.state.steps[0].status is StepStatus.IN_DOUBT
    assert play.held()
    assert play.state.waiting_for == ("settlement",)
    assert play.state.pages == 1
    return play.held()


@pytest.mark.parametrize("said", ["no answer within 10 s", NOBODY_KNOWS])
def test_a_lost_reply_or_an_unknown_effect_is_in_doubt_and_looked_at(
    said: ActionOutcome | str,
) -> None:
    play = lost(Effect.PRESENT, said)

    assert play.kinds().index("step_in_doubt") < play.kinds().index("step_reconciled")
    assert play.count(Probe) == 1


def test_an_effect_that_is_there_is_reconciled_and_verified_and_not_repeated() -> None:
    play = lost(Effect.PRESENT)
    play.level(GOOD)
    play.wait(12)

    assert play.phase() is Phase.RESOLVED
    assert (play.count(Intend), play.count(Redo)) == (1, 0)
    assert play.last(Kind.STEP_RECONCILED)["how"] == "a probe shows that the effect is there"


@pytest.mark.parametrize("kind", REPEATABLE)
def test_an_absent_effect_is_repeated_with_its_own_key_where_the_target_makes_that_safe(
    kind: Repeatability,
) -> None:
    play = lost(Effect.ABSENT, "lost", SUCCEEDED, kind=kind)

    assert (play.count(Intend), play.count(Redo)) == (1, 1)
    assert play.state.steps[0].status is StepStatus.SUCCEEDED
    assert play.last(Kind.STEP_REPEATED)["idempotency_key"] == "INC-1/S1/1"
    assert play.kinds().index("step_repeated") < play.kinds().index("step_reconciled")


@pytest.mark.parametrize("kind", NOT_TO_BE_REPEATED)
def test_an_absent_effect_is_no_proof_where_a_late_one_can_still_come(kind: Repeatability) -> None:
    play = lost(Effect.ABSENT, kind=kind)

    assert "a late effect of the first attempt can't be ruled out" in held_in_doubt(play)
    assert play.count(Redo) == 0


@pytest.mark.parametrize("here", ["probeable", "none", "something newer"])
def test_a_target_that_gives_less_than_its_action_can_is_not_repeated(here: str) -> None:
    play = Play(world=world(kind=Repeatability.IDEMPOTENT), probe=Effect.ABSENT)
    play.observed = {"repeatability": here}
    play.outcomes.append("the reply was lost")
    play.open().run()

    assert "can't be ruled out" in held_in_doubt(play)
    assert play.count(Redo) == 0


@pytest.mark.parametrize("here", [None, "refuses_stale_token"])
def test_a_target_that_tells_tokens_apart_is_never_asked_again_with_the_same_token(
    here: str | None,
) -> None:
    """The first request may still be on its way: with the token of the repeat, both would count."""
    best = Repeatability.IDEMPOTENT if here else Repeatability.REFUSES_STALE_TOKEN
    play = Play(world=world(kind=best), probe=Effect.ABSENT, newer_token=False)
    play.observed = {"repeatability": here} if here else {}
    play.outcomes.append("the reply was lost")
    play.open().run()

    assert "the same token as the first try" in held_in_doubt(play)
    assert play.count(Redo) == 0


def test_a_target_cannot_give_more_than_its_action() -> None:
    play = Play(world=world(kind=Repeatability.PROBEABLE), probe=Effect.ABSENT)
    play.observed = {"repeatability": "idempotent"}
    play.outcomes.append("the reply was lost")
    play.open().run()

    assert held_in_doubt(play)
    assert play.count(Redo) == 0


@pytest.mark.parametrize("kind", list(Repeatability))
def test_an_unknown_effect_is_looked_at_a_few_times_with_pauses_and_then_held(
    kind: Repeatability,
) -> None:
    play = lost(Effect.UNKNOWN, kind=kind)
    assert not play.held()
    assert play.wake_at == play.now + timedelta(seconds=1)

    play.wait(10)
    assert "its target can't be read" in held_in_doubt(play)
    assert 2 <= play.count(Probe) <= 5
    assert play.count(Redo) == 0


def test_nothing_is_repeated_during_a_freeze() -> None:
    play = Play(probe=Effect.ABSENT, stop_at=(Probe,))
    play.outcomes.append("lost")
    play.open().run()
    play.freeze = Freeze(scope="all", by="dana", why="month end", since=START)
    play.stop_at = ()
    play.run()

    assert "not repeated during the freeze 'month end'" in held_in_doubt(play)
    assert play.count(Redo) == 0


def test_a_repeat_that_is_lost_too_is_bounded() -> None:
    play = lost(Effect.ABSENT, *["lost"] * 10)
    play.wait(20)

    assert "repeated 3 times without an answer" in held_in_doubt(play)
    assert play.count(Redo) == 3


def test_a_repeat_that_is_refused_proves_nothing_about_the_first_try() -> None:
    play = lost(Effect.ABSENT, "lost", NO_EFFECT)

    assert "performed again it answered: no room" in held_in_doubt(play)
    assert play.count(Redo) == 1


def test_a_repeat_that_did_not_reach_its_target_does_not_settle_the_first_try() -> None:
    play = Play(probe=Effect.ABSENT, stop_at=(Probe,))
    play.outcomes.append("lost")
    play.open().run()
    play.run(
        ActionReturned(
            step_id="S1",
            started_at=play.now,
            ended_at=play.now,
            unreachable="no route",
            redone=True,
        )
    )

    assert held_in_doubt(play)


def test_a_first_try_that_did_not_reach_its_target_has_failed_without_effect() -> None:
    play = Play(stop_at=(Intend,)).open().run()
    (intend,) = [c for c in play.told if isinstance(c, Intend)]
    play.intend(intend)
    play.run(
        ActionReturned(step_id="S1", started_at=play.now, ended_at=play.now, unreachable="no route")
    )

    assert play.last(Kind.STEP_FINISHED)["effect"] == "absent"
    assert play.last(Kind.STEP_FINISHED)["error_category"] == "unreachable"


def test_an_intent_whose_worker_died_is_found_in_doubt_before_anything_else() -> None:
    play = Play(stop_at=(Intend,)).open().run()
    (intend,) = [c for c in play.told if isinstance(c, Intend)]
    play.intend(intend)
    play.run(Woke())

    assert play.kinds()[-2:] == ["step_in_doubt", "step_reconciled"]
    assert "worker stopped" in play.last(Kind.STEP_IN_DOUBT)["why"]


def test_a_second_report_of_the_same_attempt_changes_nothing() -> None:
    play = Play().open().run()
    written = len(play.records)
    play.run(play.returned("S1"))

    assert play.count(Kind.STEP_FINISHED) == 1
    assert len(play.records) == written


def test_what_a_person_settles_as_happened_goes_on_to_verification() -> None:
    play = lost(Effect.ABSENT, kind=Repeatability.PROBEABLE)
    answer = play.ask("settle", step_id="S1", happened=True, evidence="ls shows 2.3.9")
    assert answer.ok
    assert play.held(), "a settlement is no resume"

    play.level(GOOD)
    play.ask("resume", because="it is done")
    play.wait(12)
    assert play.phase() is Phase.RESOLVED
    assert play.last(Kind.STEP_SETTLED)["human_override"] == "dana"


def test_what_a_person_settles_as_not_happened_may_be_tried_once_more_with_a_new_number() -> None:
    play = lost(Effect.ABSENT, kind=Repeatability.PROBEABLE)
    play.ask("settle", step_id="S1", happened=False, evidence="ls shows 2.4.0")
    play.ask("resume", because="try again")
    play.wait(6)

    assert [c.reservation.key for c in play.told if isinstance(c, Intend)] == [
        "INC-1/S1/1",
        "INC-1/S1/2",
    ]
    assert play.log["INC-1/S1/1"].settled


def test_a_late_report_is_kept_and_settles_nothing() -> None:
    from holdfast.kernel import SYSTEM

    play = lost(Effect.ABSENT, kind=Repeatability.PROBEABLE)
    play.ask("late_report", actor=SYSTEM, step_id="S1", summary="it worked")

    assert play.count(Kind.LATE_REPORT) == 1
    assert held_in_doubt(play)


def test_a_step_in_doubt_reserves_its_incident_against_dismiss_merge_and_directives() -> None:
    play = lost(Effect.ABSENT, kind=Repeatability.PROBEABLE)
    answers = [
        play.ask("dismiss", because="false alarm"),
        play.ask("merge", into="INC-2", because="same"),
        play.direct(),
    ]

    assert not any(answer.ok for answer in answers)
    assert all("holdfast settle INC-1 S1" in answer.message for answer in answers)


def test_resume_looks_at_the_target_of_a_step_in_doubt_again_and_goes_on_when_it_can_tell() -> None:
    play = lost(Effect.UNKNOWN)
    play.wait(6)
    assert held_in_doubt(play)
    looked = play.count(Probe)

    play.probe = Effect.PRESENT
    play.level(GOOD)
    answer = play.ask("resume", because="the target answers again")
    play.wait(12)

    assert "looked at again first: step S1 is in doubt" in answer.message
    assert play.count(Probe) == looked + 1
    assert play.phase() is Phase.RESOLVED


def test_resume_of_a_step_that_still_cannot_be_told_holds_again_and_repeats_nothing() -> None:
    play = lost(Effect.ABSENT, kind=Repeatability.PROBEABLE)
    play.ask("resume", because="go on")
    play.wait(6)

    assert play.held()
    assert play.state.steps[0].status is StepStatus.IN_DOUBT
    assert (play.count(Intend), play.count(Redo), play.state.pages) == (1, 0, 2)


def test_a_worker_in_mode_observe_that_takes_over_repeats_nothing() -> None:
    play = Play(world=world(kind=Repeatability.IDEMPOTENT), probe=Effect.ABSENT)
    play.dies_after_intent = True
    play.open().run()
    play.dies_after_intent = False
    play.world = world(kind=Repeatability.IDEMPOTENT, mode="observe")
    play.run()

    assert "the mode is observe now" in held_in_doubt(play)
    assert play.count(Redo) == 0
