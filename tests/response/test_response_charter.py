"""Under a charter: who may set it, what it does to the run, and what happens when nobody speaks."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Kind, Phase
from holdfast.kernel import format_at
from tests.response.response_parts import Play
from tests.response.response_world import BOT, GOOD, world
from tests.scene import DANA


def charter(play: Play, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "commander": "dana",
        "objective": "the shop sells again",
        "allowed": [{"action": "rollback_deploy", "targets": ["shop-api"]}],
        "expires_at": format_at(play.now + timedelta(hours=2)),
        "because": "step by step",
    } | more


def commanded(**more: Any) -> Play:  # noqa: ANN401
    play = Play(world=world(mode="guided")).open().run().wait(3)
    play.ask("charter", **charter(play, **more))
    return play


def test_a_charter_names_a_commander_and_no_runbook_goes_on_by_itself() -> None:
    play = commanded()

    assert play.state.commander == "dana"
    assert play.state.plan is not None
    assert play.state.plan.runbook == "directed"
    assert play.state.waiting_for == ("directive",)


def test_under_a_charter_the_commander_directs_and_is_waited_for_again_afterwards() -> None:
    play = commanded()
    assert play.direct().ok
    play.level(GOOD)
    play.wait(20)

    assert play.count(Kind.STEP_INTENDED) == 1
    assert play.state.last_step is not None
    assert play.state.last_step.status == "verified"
    assert (play.phase(), play.state.waiting_for) == (Phase.PLANNED, ("directive",))
    play.wait(590)
    assert play.phase() is Phase.RESOLVED


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"objective": " "}, "names no objective"),
        ({"allowed": []}, "allows nothing"),
        ({"allowed": [{"action": "rollback_deploy", "targets": ["*"]}]}, "not one action on named"),
        ({"allowed": [{"action": "rollback_deply", "targets": ["shop-api"]}]}, "did you mean"),
        ({"allowed": [{"action": "rollback_deploy", "targets": ["shop-apo"]}]}, "did you mean"),
        ({"expires_at": "2029-01-01T00:00:00Z"}, "already"),
        ({"expires_at": "2031-01-01T00:00:00Z"}, "24 h at most"),
        ({"because": ""}, "in your own words"),
    ],
)
def test_a_charter_that_says_too_little_or_too_much_is_refused(
    more: dict[str, Any], said: str
) -> None:
    play = Play(world=world(mode="guided")).open().run().wait(3)
    answer = play.ask("charter", **charter(play, **more))

    assert not answer.ok
    assert said in answer.message
    assert play.state.charter is None


def test_a_new_charter_names_the_one_that_it_replaces() -> None:
    play = commanded()
    answer = play.ask("charter", **charter(play, commander="lee"))

    assert "instead of dana" in answer.message
    assert play.last(Kind.CHARTER_SET)["instead_of"] == "dana"


def test_a_step_that_waits_for_approval_is_taken_back_by_a_charter() -> None:
    play = Play(world=world(mode="supervised")).open().run().wait(3)
    assert play.state.waiting_for == ("approval",)
    play.ask("charter", **charter(play))

    assert play.last(Kind.STEP_BLOCKED)["verdict"]["reasons"][0]["rule"] == "charter"
    assert play.state.waiting_for == ("directive",)


def test_a_silent_commander_is_held_and_somebody_else_called_once() -> None:
    play = commanded()
    play.wait(598)
    assert not play.held()
    play.wait(10)

    assert "dana has said nothing for 10 min" in play.held()
    assert 'last words: "step by step"' in play.held()
    play.wait(600)
    assert play.count(Kind.ESCALATED) == 2  # the first one: the mode is guided


def test_whatever_the_commander_says_is_no_silence() -> None:
    play = commanded()
    play.wait(500)
    play.ask("note", text="still reading")
    play.wait(500)
    assert not play.held()
    play.ask("note", actor=BOT, text="I am no commander")
    play.wait(110)

    assert "dana has said nothing for 10 min" in play.held()


def test_an_expired_charter_holds_with_that_reason() -> None:
    play = commanded(expires_at=format_at(Play().now + timedelta(seconds=60)))
    play.wait(70)

    assert "the charter of dana expired" in play.held()
    play.wait(300)
    assert play.count(Kind.ESCALATED) == 2  # the first one: the mode is guided


def test_only_the_commander_directs() -> None:
    play = commanded(commander="lee")
    play.direct(actor=DANA)

    assert "lee is the commander and dana is not" in play.held()
    assert play.count(Kind.STEP_INTENDED) == 0
