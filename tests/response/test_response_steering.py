"""What people set while an incident runs: modes that only lower, and one limit raised once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.incident import Kind, Phase, StepStatus, line
from holdfast.policy import Mode, Override, SetMode
from holdfast.response.commands import Intend, Probe, Redo
from holdfast.response.ports import Effect
from holdfast.response.store import LoggedAction
from tests.response.response_parts import Play
from tests.response.response_world import GOOD, NO_EFFECT, runbook, world
from tests.scene import START

TARGET = "shop-api@east"
OVERRIDE = Override(
    override_id="3fa9",
    limit="restarts_per_target",
    by="ravi",
    why="a full disk",
    expires_at=START + timedelta(hours=1),
)


def said(mode: Mode, scope: str = "all") -> SetMode:
    return SetMode(scope=scope, mode=mode, by="ravi", why="storage audit", since=START)


def restarted(play: Play, ages_s: tuple[float, ...] = (60, 120)) -> Play:
    """Note restarts of the target by other incidents."""
    for n, age_s in enumerate(ages_s):
        key = f"INC-8{n}/S1/1"
        play.log[key] = LoggedAction(
            key=key, incident_id=f"INC-8{n}", step_id="S1", action="restart_service",
            target=TARGET, at=play.now - timedelta(seconds=age_s), settled=True,
        )  # fmt: skip
    return play


def intents(play: Play) -> list[Intend]:
    return [command for command in play.told if isinstance(command, Intend)]


@pytest.mark.parametrize(
    "scope", ["all", "service:shop-api", "incident:INC-1", "runbook:roll-back"]
)
def test_a_mode_that_a_person_sets_stops_a_runbook_and_the_timeline_says_who_and_why(
    scope: str,
) -> None:
    play = Play(modes=(said(Mode.OBSERVE, scope),)).open().run()
    (told,) = [line(record) for record in play.records if record.kind == Kind.STEP_BLOCKED]

    assert play.count(Intend) == 0
    assert not play.held()
    assert f"ravi set the mode of {scope} to at most observe: storage audit" in told


@pytest.mark.parametrize("scope", ["service:shop-db", "incident:INC-2", "runbook:other"])
def test_a_mode_that_is_set_elsewhere_stops_nothing_here(scope: str) -> None:
    play = Play(modes=(said(Mode.OBSERVE, scope),)).open().run()

    assert play.count(Intend) == 1


def test_a_step_that_was_only_shown_runs_once_the_mode_is_taken_back() -> None:
    play = Play(modes=(said(Mode.OBSERVE),)).open().run().wait(30)
    assert [step.status for step in play.state.steps] == [StepStatus.BLOCKED], "shown once"

    play.modes = ()
    play.wait(3)
    assert [step.step_id for step in play.state.steps] == ["S1", "S2"]
    assert play.count(Intend) == 1
    play.level(GOOD)
    assert play.wait(12).phase() is Phase.RESOLVED


def test_a_directive_waits_for_no_mode_that_a_person_set_to_guided() -> None:
    play = Play(modes=(said(Mode.GUIDED),)).open().run()
    assert "ravi set the mode of all to at most guided" in play.held()

    play.charter()
    assert play.direct().ok
    assert play.count(Intend) == 1


def test_a_step_in_doubt_is_not_repeated_where_a_person_set_observe_since() -> None:
    play = Play(probe=Effect.ABSENT, stop_at=(Probe,))
    play.outcomes.append("lost")
    play.open().run()
    play.modes, play.stop_at = (said(Mode.OBSERVE),), ()
    play.run()

    assert play.count(Redo) == 0
    assert "the mode is observe now" in play.held()


def test_a_restart_too_many_is_refused_and_an_override_lets_exactly_one_go() -> None:
    play = restarted(Play(world=world(runbook(TARGET)))).open().run()
    assert "was restarted often enough" in play.held()

    play.overrides = (OVERRIDE,)
    play.wait(1)
    assert play.count(Intend) == 0, "an override passes no hold"
    play.outcomes.append(NO_EFFECT)
    play.ask("resume", because="with an override")
    play.wait(30)

    (intend,) = intents(play)
    assert intend.draft.data["override_ids"] == ["3fa9"]
    assert intend.seen.limits[0].most == 3, "room for this one and no other"
    assert play.state.overrides_used == ("3fa9",)
    assert "was restarted often enough" in play.held(), "the second attempt finds it used up"
    (told,) = [line(record) for record in play.records if record.kind == Kind.STEP_INTENDED]
    assert "ravi raised restarts_per_target once (override 3fa9): a full disk" in told


def test_two_overrides_let_two_go() -> None:
    play = restarted(Play(world=world(runbook(TARGET)))).open()
    play.overrides = (OVERRIDE, replace(OVERRIDE, override_id="77aa"))
    play.outcomes.append(NO_EFFECT)
    play.run().wait(30)

    assert [i.draft.data["override_ids"] for i in intents(play)] == [["3fa9"], ["77aa"]]


def test_an_override_of_the_cooldown_lets_a_step_go_at_once() -> None:
    play = restarted(Play(world=world(runbook(TARGET)), stop_at=(Intend,)), (1,)).open().run()
    assert play.count(Intend) == 0
    assert not play.held(), "it only waits"

    play.overrides = (replace(OVERRIDE, limit="cooldown", expires_at=play.now + timedelta(1)),)
    play.ask("override", text="override 3fa9 raises cooldown once")
    (intend,) = intents(play)
    assert intend.seen.cooldown_s == 0.0
    assert "dana: override 3fa9 raises cooldown once" in map(line, play.records)


def test_an_override_that_has_ended_raises_nothing() -> None:
    play = restarted(Play(world=world(runbook(TARGET)))).open()
    play.overrides = (replace(OVERRIDE, expires_at=play.now),)
    play.run()

    assert play.count(Intend) == 0


def test_a_step_that_needs_no_override_leaves_it_for_later() -> None:
    play = Play(overrides=(OVERRIDE,)).open().run()

    assert [i.draft.data["override_ids"] for i in intents(play)] == [[]]
    assert play.state.overrides_used == ()
