"""From one hand to another: nobody acts in between, and nothing comes back unlooked at."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.incident import Kind, Phase
from holdfast.kernel import Actor, ActorKind
from holdfast.policy import Boundary
from holdfast.response.commands import Intend, LookAgain, Probe, SendPage
from holdfast.response.events import SignalsSeen
from tests.response.response_parts import Play
from tests.response.response_world import BOT, GOOD, NOBODY_KNOWS, world
from tests.scene import DANA

LEE = Actor(kind=ActorKind.HUMAN, id="lee", token_id="t-3")
MAX = Actor(kind=ActorKind.HUMAN, id="max", token_id="t-9")
ERIN = Actor(kind=ActorKind.HUMAN, id="erin", token_id="t-4")
HOLDERS = {"team": frozenset({"erin", "kim"})}


def play_of(mode: str = "guided", **more: Any) -> Play:  # noqa: ANN401
    here = replace(world(mode=mode), holders=HOLDERS)
    return Play(world=here, **more).open().run().wait(3)


def commanded(**more: Any) -> Play:  # noqa: ANN401
    play = play_of(**more)
    play.charter()
    return play


def handed(to: str = "team", **more: Any) -> Play:  # noqa: ANN401
    play = commanded(**more)
    assert play.ask("handoff", to=to, because="theirs").ok
    return play


def test_a_handoff_pages_the_successor_once_and_nobody_acts_until_it_is_accepted() -> None:
    play = handed()

    pages = [c for c in play.told if isinstance(c, SendPage) and c.level == 0]
    assert [contact.id for page in pages for contact in page.contacts] == ["team"]
    assert play.state.waiting_for == ("acceptance",)
    for kind in ("direct", "approve", "undo", "resume", "charter", "handoff"):
        answer = play.ask(kind, step_id="S1", because="now", to="kim")
        assert "nobody acts" in answer.message
    play.wait(50)
    assert play.count(Intend) == 0


def test_whoever_it_was_handed_to_accepts_once_and_commands_from_there_on() -> None:
    play = handed()
    assert "it is for team" in play.ask("accept", actor=LEE).message
    assert play.ask("accept", actor=ERIN).ok
    assert "handed to nobody" in play.ask("accept", actor=ERIN).message

    assert (play.state.commander, play.state.owner) == ("erin", "erin")
    assert (play.state.charter or {})["commander"] == "erin"
    play.direct(actor=DANA)
    assert "erin is the commander and dana is not" in play.held()
    play.direct(actor=ERIN)
    assert play.count(Kind.STEP_INTENDED) == 1


def test_no_agent_accepts() -> None:
    assert "only a person" in handed(to="bot").ask("accept", actor=BOT).message


def test_a_handoff_can_be_refused_by_the_receiver_and_stays_where_it_was() -> None:
    play = handed()
    assert "can't refuse" in play.ask("refuse", actor=LEE, because="no").message
    assert play.ask("refuse", actor=ERIN, because="the replica is fine").ok
    assert (play.state.handoff, play.state.commander) == (None, "dana")
    assert play.direct().ok


def test_a_handoff_can_be_recalled_by_its_giver_and_is_not_accepted_after_that() -> None:
    play = handed()
    assert "did not hand it over" in play.ask("recall", actor=ERIN, because="mine").message
    assert play.ask("recall", because="found it").ok
    assert "handed to nobody" in play.ask("accept", actor=ERIN).message


def test_unaccepted_in_time_it_escalates_once_and_whoever_is_called_may_step_in() -> None:
    play = handed(to="lee")
    before = play.count(Kind.ESCALATED)
    play.wait(301)
    assert "nobody accepted" in play.held()
    play.wait(900)
    assert play.count(Kind.ESCALATED) == before + 1
    assert "it is for lee, dana, team" in play.ask("accept", actor=MAX).message
    assert play.ask("accept", actor=ERIN).ok
    assert (play.state.commander, play.held()) == ("erin", "")


def test_a_step_in_doubt_can_be_handed_over_settled_meanwhile_and_nothing_looks_by_itself() -> None:
    play = commanded()
    play.outcomes.append(NOBODY_KNOWS)
    play.stop_at = (Probe,)
    play.direct()
    assert play.state.unsettled
    assert play.ask("handoff", to="team", because="my shift ends").ok
    probes = play.count(Probe)
    play.wait(30)
    assert play.count(Probe) == probes
    assert play.ask("settle", step_id="S2", happened=True, evidence="it is at 2.3.9").ok


def test_what_a_runbook_had_begun_does_not_cross_a_handoff() -> None:
    play = play_of("supervised")
    step = play.state.last_step
    assert step is not None
    play.ask("approve", step_id=step.step_id, hash=step.hash, because="read it")
    assert play.count(Kind.STEP_INTENDED) == 1  # approved and performed at once

    waiting = play_of("supervised")
    waiting.ask("handoff", to="team", because="theirs")
    assert waiting.ask("accept", actor=ERIN).ok
    assert waiting.state.waiting_for == ("approval",)
    step = waiting.state.last_step
    assert step is not None
    assert waiting.ask("approve", actor=ERIN, step_id=step.step_id, hash=step.hash, because="y").ok


def test_back_to_the_system_everything_touched_is_looked_at_and_diagnosed_anew() -> None:
    play = commanded()
    play.direct()
    play.wait(30)
    play.ask("did", action="restart_service", target="shop-api@east", because="by hand")
    looked = play.ask("handoff", to="holdfast", because="go on")
    (look,) = [c for c in play.told if isinstance(c, LookAgain)]

    assert looked.ok
    assert [(t.action, t.target, t.step_id) for t in look.touched] == [
        ("rollback_deploy", "shop-api", "S2"),
        ("restart_service", "shop-api@east", None),
    ]
    assert set(play.last(Kind.CONTROL_PLANES_OBSERVED)["targets"]) == {"shop-api", "shop-api@east"}
    assert (play.state.commander, play.state.charter) == (None, None)
    assert play.state.owner == "holdfast"
    assert play.records[-1].actor.id
    assert play.kinds().count("hypotheses_ranked") == 2


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({"reachable": False, "text": "no route"}, "shop-api can't be read: no route"),
        ({"partly": True, "text": "east yes, west no"}, "applied in part only: east yes, west no"),
    ],
)
def test_what_is_not_whole_is_not_handed_back(look: dict[str, Any], said: str) -> None:
    play = commanded(looks={"shop-api": look})
    play.direct()
    answer = play.ask("handoff", to="holdfast", because="go on")

    assert not answer.ok
    assert said in answer.message
    assert said in play.held()
    assert (play.state.commander, play.state.handoff) == ("dana", None)


def test_a_trouble_that_is_over_after_handing_back_is_resolved_and_no_false_alarm() -> None:
    play = commanded()
    play.direct()
    play.level(GOOD)
    play.wait(20)
    play.ask("handoff", to="holdfast", because="done")
    play.wait(60)

    assert play.phase() is Phase.RESOLVED


def test_handed_back_when_nothing_shows_any_more_an_incident_stays_what_it_was() -> None:
    play = commanded()
    play.direct()
    before = play.state.incident_type
    back = tuple({**signal, "state": "returned"} for signal in play.state.signals.values())
    play.run(SignalsSeen(signals=back))
    play.ask("handoff", to="holdfast", because="go on")
    play.wait(20)
    told = play.last(Kind.CLASSIFIED)["reasons"]

    assert before == "high_error_rate" == play.state.incident_type
    assert "the incident stays what it was, high_error_rate" in told[-1]["text"]
    assert play.count(Kind.CLASSIFIED) > 1


def test_resume_looks_again_at_what_was_done_by_hand_since() -> None:
    play = commanded(looks={"shop-api@east": {"reachable": False, "text": "no route"}})
    play.ask("hold", because="let me")
    play.ask("did", action="restart_service", target="shop-api@east", because="by hand")
    answer = play.ask("resume", because="done")

    assert answer.ok
    assert "could not be looked at: shop-api@east" in answer.message
    assert play.count(LookAgain) == 1
    play.ask("hold", because="again")
    play.ask("resume", because="again")
    assert play.count(LookAgain) == 1


def test_a_silent_commander_s_place_is_taken_by_whoever_was_called() -> None:
    play = commanded()
    play.wait(700)
    assert "dana has said nothing" in play.held()
    assert play.ask("accept", actor=ERIN).ok  # of the team, the second level
    assert (play.state.commander, play.held()) == ("erin", "")


def test_what_belongs_to_others_is_handed_to_them_and_directed_by_them() -> None:
    theirs = Boundary(action="restart_service", target="shop-api@east", authority="team")
    play = commanded()
    play.world = replace(play.world, boundaries=(theirs,))
    step = {"action": "restart_service", "target": "shop-api@east"}
    play.direct(**step)
    assert "crosses a boundary: it belongs to team" in play.held()

    assert play.ask("handoff", to="team", because="theirs").ok
    assert play.ask("accept", actor=ERIN).ok
    play.direct(actor=ERIN, **step)
    assert play.count(Kind.STEP_INTENDED) == 1
    assert play.last(Kind.STEP_INTENDED)["target"] == "shop-api@east"
