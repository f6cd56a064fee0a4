"""Did it help? Only a clear yes on fresh samples from everywhere resolves; all else holds."""

from datetime import timedelta

from holdfast.incident import Kind, Phase, StepStatus
from holdfast.response.commands import Confirm, Intend, SendPage
from tests.response.response_parts import Play
from tests.response.response_world import BAD, GAP, GOOD, runbook, world

# Within the criterion (baseline * 1.2 + 0.02), out of the range from before the trouble.
MET_BUT_NOT_NORMAL = 0.0225


def acted(*, plan: tuple[str, ...] = ("${entity}",)) -> Play:
    """A step that was performed; what happens next is the test's."""
    play = Play(world=world(runbook(*plan))).open().run()
    assert play.phase() is Phase.VERIFYING
    return play


def not_resolved(play: Play, status: str) -> str:
    assert play.phase() is Phase.VERIFYING
    assert play.state.steps[0].status is StepStatus.UNVERIFIED
    assert play.last(Kind.VERIFICATION_RECORDED)["status"] == status
    assert play.held()
    assert play.count(Kind.ESCALATED) == play.count(SendPage) == 1
    return play.held()


def test_recovery_is_proven_only_over_the_whole_window_of_fresh_samples() -> None:
    play = acted()
    play.level(GOOD)
    play.wait(4)
    assert play.phase() is Phase.VERIFYING

    play.wait(8)
    resolved = play.last(Kind.RESOLVED)
    assert play.phase() is Phase.RESOLVED
    assert resolved["by_step"] == "S1"
    assert "every criterion held for 6 s on fresh samples in east, west" in resolved["why"]
    assert play.state.steps[0].status is StepStatus.VERIFIED


def test_a_step_that_did_not_help_holds_and_calls_a_person() -> None:
    play = acted()
    play.wait(40)

    assert "was done, but recovery is not proven" in not_resolved(play, "not_met")
    assert play.count(Intend) == 1


def test_traffic_that_stops_after_the_step_is_no_recovery() -> None:
    play = acted()
    play.level(GAP)
    play.wait(40)

    not_resolved(play, "no_data")


def test_samples_that_stop_coming_are_no_recovery() -> None:
    play = acted()
    play.level(GOOD)
    play.sampler_stopped_at = play.now + timedelta(seconds=2)
    play.wait(40)

    not_resolved(play, "stale")


def test_regions_that_contradict_each_other_are_no_recovery() -> None:
    play = acted()
    play.level(GOOD)
    play.elsewhere = {"west": BAD}
    play.wait(40)

    assert not_resolved(play, "contradiction")


def test_one_silent_region_is_no_recovery() -> None:
    play = acted()
    play.level(GOOD)
    play.silent = frozenset({"west"})
    play.wait(40)

    assert play.phase() is Phase.VERIFYING
    assert play.held()


def test_a_step_that_helped_goes_on_with_the_plan_if_there_is_more_and_the_trouble_stays() -> None:
    play = acted(plan=("${entity}", "${entity}"))
    play.level(MET_BUT_NOT_NORMAL)
    play.wait(12)

    assert play.last(Kind.VERIFICATION_RECORDED)["more_to_do"]
    assert [step.plan_index for step in play.state.steps] == [0, 1]
    assert play.count(Intend) == 2


def test_a_plan_whose_first_step_ends_the_trouble_does_not_perform_the_second() -> None:
    play = acted(plan=("${entity}", "${entity}"))
    play.level(GOOD)
    play.wait(30)

    assert play.phase() is Phase.RESOLVED
    assert play.count(Intend) == 1
    assert play.last(Kind.RESOLVED)["by_step"] == "S1"


def test_a_hold_while_verifying_freezes_the_verdict_and_a_resume_takes_it_up_with_new_time() -> (
    None
):
    play = acted()
    play.ask("hold", because="let me look")
    play.level(GOOD)
    play.wait(60)
    assert play.phase() is Phase.VERIFYING

    play.ask("resume", because="go on")
    play.wait(3)
    assert play.phase() is Phase.RESOLVED


def test_a_recovery_at_second_sight_does_not_credit_the_step_alone() -> None:
    play = acted()
    play.wait(40)
    not_resolved(play, "not_met")
    play.level(GOOD)
    play.wait(10)
    play.ask("resume", because="the database team repaired it")
    play.wait(10)

    assert play.phase() is Phase.RESOLVED
    assert "something else may have helped since" in play.last(Kind.RESOLVED)["why"]
    assert play.state.steps[0].status is StepStatus.VERIFIED


def plane(
    name: str, *, reached: bool, lasting: bool = True, under_way: bool = False
) -> dict[str, object]:
    now = "drain" if reached else "ready"
    return {
        "plane": name,
        "now": now,
        "intended": "drain",
        "reached": reached,
        "lasting": lasting,
        "under_way": under_way,
    }


def confirmed(*planes: dict[str, object]) -> Play:
    """A step on control planes that were looked at once the readings were good."""
    play = Play(world=world(runbook("${entity}")))
    play.observed = {"planes": [{"plane": "web-1"}, {"plane": "web-2"}]}
    play.planes = planes
    play.open().run()
    play.level(GOOD)
    play.wait(30)
    return play


def test_good_readings_and_every_control_plane_as_intended_are_recovery() -> None:
    play = confirmed(plane("web-1", reached=True), plane("web-2", reached=True))

    assert play.phase() is Phase.RESOLVED
    assert len(play.last(Kind.VERIFICATION_RECORDED)["planes"]) == 2


def test_a_control_plane_that_is_not_as_intended_is_a_mixed_state_and_holds() -> None:
    play = confirmed(plane("web-1", reached=True), plane("web-2", reached=False))

    why = not_resolved(play, "mixed")
    assert "web-2 is not as intended (reading ready, threshold drain, source shop-api)" in why


def test_an_effect_that_may_fade_by_its_nature_is_no_mixed_state() -> None:
    play = confirmed(plane("keys", reached=False, lasting=False))

    assert play.phase() is Phase.RESOLVED


def test_a_control_plane_that_is_still_under_way_is_waited_for() -> None:
    play = Play(world=world(runbook("${entity}")))
    play.observed = {"planes": [{"plane": "web"}]}
    play.planes = (plane("web", reached=False, under_way=True),)
    play.open().run()
    play.level(GOOD)
    play.wait(15)
    assert play.phase() is Phase.VERIFYING
    assert play.count(Confirm) > 1
    assert not play.state.held

    play.planes = (plane("web", reached=True),)
    play.wait(3)
    assert play.phase() is Phase.RESOLVED


def test_what_is_still_under_way_when_the_time_is_over_holds() -> None:
    play = confirmed(plane("web", reached=False, under_way=True))

    assert "web is not as intended" in not_resolved(play, "mixed")


def test_what_is_under_way_is_not_waited_for_where_something_else_is_wrong() -> None:
    play = confirmed(plane("web", reached=False, under_way=True), plane("api", reached=False))

    not_resolved(play, "mixed")
    assert play.count(Confirm) == 1
