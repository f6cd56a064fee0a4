"""From the plan to an intent: judged on what was just read, refused with every reason."""

from datetime import timedelta

import pytest

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.policy import Freeze
from holdfast.response.commands import Intend, Prepare
from holdfast.response.store import LoggedAction
from tests.response.response_parts import Play
from tests.response.response_world import GAP, GOOD, NO_EFFECT, runbook, world
from tests.scene import START

FREEZE = Freeze(scope="all", by="dana", why="month end", since=START)


def blocked(play: Play) -> str:
    assert play.state.steps[-1].status is StepStatus.BLOCKED
    assert play.held()
    assert play.state.pages == 1
    assert play.count(Intend) == 0
    return str(play.last(Kind.STEP_BLOCKED)["why"])


def test_a_step_that_fits_is_intended_with_key_criteria_and_reservation() -> None:
    play = Play(stop_at=(Intend,)).open().run()
    (intend,) = [c for c in play.told if isinstance(c, Intend)]

    assert intend.draft.data["idempotency_key"] == intend.reservation.key == "INC-1/S1/1"
    assert intend.draft.data["criteria"]
    assert intend.draft.data["regions"] == ["east", "west"]
    assert intend.draft.data["pre_image"]["reversible"] == "put it back"
    assert intend.seen.inbox_n == 0, "no request may stand undecided"


def test_observe_performs_nothing_and_says_what_it_would_have_done() -> None:
    play = Play(world=world(mode="observe")).open().run()

    told = play.last(Kind.STEP_BLOCKED)
    assert told["verdict"]["would_have"] is True
    assert "rollback_deploy on shop-api would be performed now; nothing was done" in told["why"]
    assert play.count(Intend) == 0
    assert play.state.escalated
    assert not play.held(), "nothing is in doubt, it is only not allowed"


def test_observe_shows_a_step_once_and_resolves_when_people_have_repaired_it() -> None:
    play = Play(world=world(mode="observe")).open().run()
    play.wait(60)
    assert [step.status for step in play.state.steps] == [StepStatus.BLOCKED]
    assert not play.held()

    play.level(GOOD)
    play.wait(10)
    assert play.phase() is Phase.RESOLVED
    assert play.count(Intend) == 0


def test_a_refusal_gives_every_reason_at_once() -> None:
    play = Play(stop_at=(Prepare,)).open().run()
    play.freeze = FREEZE
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    play.run(play.prepared(prepare, acting=("INC-9",)))
    why = blocked(play)

    assert "dana froze all: month end" in why
    assert "INC-9 is acting on shop-api" in why


def test_a_target_that_cannot_be_observed_is_not_acted_on() -> None:
    play = Play(problem="the socket is gone").open().run()

    assert "the socket is gone" in blocked(play)


def test_after_a_thaw_and_a_resume_the_step_is_judged_anew() -> None:
    play = Play(freeze=FREEZE).open().run()
    assert "froze" in blocked(play)
    play.freeze = None
    play.stop_at = (Intend,)
    play.ask("resume", because="thawed")

    assert [step.step_id for step in play.state.steps] == ["S1", "S2"]
    assert play.count(Intend) == 1


def test_a_trouble_that_ends_before_the_step_ends_the_incident_without_an_action() -> None:
    play = Play(stop_at=(Prepare,)).open().run()
    play.stop_at = ()
    play.level(GOOD)
    play.wait(20)

    assert play.phase() is Phase.RESOLVED
    assert play.count(Intend) == 0
    assert "nothing was done by Holdfast" in play.last(Kind.RESOLVED)["why"]
    assert play.state.steps[0].status is StepStatus.BLOCKED


def test_a_trouble_that_cannot_be_read_any_more_blocks_the_step_after_some_patience() -> None:
    play = Play(stop_at=(Prepare,)).open().run()
    play.stop_at = ()
    play.level(GAP)
    play.wait(10)
    assert not play.held()

    play.wait(30)
    assert "can't be told whether the trouble is still there" in blocked(play)


def test_samples_from_before_the_sampler_stopped_start_no_action() -> None:
    play = Play(stop_at=(Prepare,)).open().run()
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    old = play.prepared(prepare)
    play.now += timedelta(minutes=10)
    play.run(old)

    assert play.count(Intend) == 0


def test_a_cooldown_is_waited_for_and_not_a_reason_to_call_somebody() -> None:
    play = Play(stop_at=(Intend,)).open()
    play.log["INC-8/S1/1"] = LoggedAction(
        key="INC-8/S1/1", incident_id="INC-8", step_id="S1", action="rollback_deploy",
        target="shop-api", at=play.now, settled=True,
    )  # fmt: skip
    play.run()

    assert play.count(Intend) == 0
    assert play.wake_at == play.log["INC-8/S1/1"].at + timedelta(seconds=5)
    assert not play.held()


def test_a_failure_without_effect_is_retried_under_the_same_step_after_its_cooldown() -> None:
    play = Play().open()
    play.outcomes.append(NO_EFFECT)
    play.run()
    assert (play.count(Intend), play.phase()) == (1, Phase.PLANNED)

    play.wait(6)
    assert [c.reservation.key for c in play.told if isinstance(c, Intend)] == [
        "INC-1/S1/1",
        "INC-1/S1/2",
    ]


def test_retries_that_are_used_up_hold_with_what_the_target_said() -> None:
    play = Play().open()
    play.outcomes.extend([NO_EFFECT, NO_EFFECT])
    play.run()
    play.wait(15)

    assert play.count(Intend) == 2
    assert play.held()
    assert "no retry is left of 1: no room" in play.held()


def test_a_refused_proposal_does_not_use_up_a_retry() -> None:
    play = Play(freeze=FREEZE).open().run()
    play.freeze = None
    play.outcomes.append(NO_EFFECT)
    play.ask("resume", because="thawed")
    play.wait(15)

    assert play.count(Intend) == 2, "one try and one retry, as the runbook says"


def test_resuming_with_a_plan_that_is_used_up_ends_resolved_or_with_a_person_again() -> None:
    play = Play(world=world(runbook("${entity}", retries=0))).open()
    play.outcomes.append(NO_EFFECT)
    play.run()
    play.wait(7)
    assert play.held()
    play.ask("resume", because="have a look")
    assert not play.held()
    play.wait(25)
    assert play.held()
    assert "nothing is left to do by the plan and the trouble is still there" in play.held()

    play.level(GOOD)
    play.wait(10)
    play.ask("resume", because="repaired by hand")
    play.wait(5)
    assert play.phase() is Phase.RESOLVED
    assert "no step is proven to have done it" in play.last(Kind.RESOLVED)["why"]


def test_a_second_region_is_not_touched_while_the_first_is_not_proven() -> None:
    plan = runbook("shop-api@east", "shop-api@west")
    play = Play(world=world(plan), stop_at=(Prepare,)).open().run()
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    assert set(prepare.siblings) == {"shop-api", "shop-api@west"}

    other = LoggedAction(
        key="INC-8/S1/1", incident_id="INC-8", step_id="S1", action="restart_service",
        target="shop-api@west", at=play.now, settled=False,
    )  # fmt: skip
    play.run(play.prepared(prepare, siblings_acting=[other]))
    assert "too many regions of shop-api would be touched at once" in blocked(play)


@pytest.mark.parametrize(
    ("target", "aliases"),
    [("shop-db", ("shop-db@east",)), ("shop-db@east", ("shop-db",)), ("shop-api@east", ())],
)
def test_the_other_name_of_a_place_is_asked_for_where_a_service_has_one_place_only(
    target: str, aliases: tuple[str, ...]
) -> None:
    play = Play(world=world(runbook(target)), stop_at=(Prepare,)).open().run()
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]

    assert prepare.aliases == aliases


def test_a_criterion_that_cannot_be_read_blocks_the_step_instead_of_stopping_the_engine() -> None:
    from dataclasses import replace

    play = Play(stop_at=(Prepare,)).open().run()
    step = replace(play.state.steps[0], criteria=("errors <<< 1",))
    play.state = replace(play.state, steps=(step,))
    play.stop_at = ()
    play.run()

    assert "column" in blocked(play)


@pytest.mark.parametrize("level", [GOOD, GAP])
def test_an_event_that_comes_after_the_end_changes_nothing(level: float) -> None:
    play = Play(stop_at=(Prepare,)).open().run()
    (prepare,) = [c for c in play.told if isinstance(c, Prepare)]
    play.ask("dismiss", because="a test")
    play.level(level)
    written = len(play.records)
    play.run(play.prepared(prepare))

    assert len(play.records) == written
    assert play.count(Intend) == 0


def test_when_it_was_deployed_is_as_the_target_says_and_not_only_as_a_check_does() -> None:
    said = Play(failing=frozenset({"recent_deployments"}))
    said.observed = {"deployed_at": (START - timedelta(minutes=5)).isoformat()}
    assert said.open().run().count(Intend) == 1, "without the check"

    old = Play()
    old.observed = {"deployed_at": (START - timedelta(hours=9)).isoformat()}
    assert old.open().run().count(Intend) == 0
    assert "too old to roll back" in str([record.data for record in old.records])

    unclear = Play()
    unclear.observed = {"deployed_at": "some day"}
    assert unclear.open().run().count(Intend) == 0
    assert "when shop-api was deployed can't be told" in str([r.data for r in unclear.records])
