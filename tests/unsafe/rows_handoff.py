"""Between two who command: nobody acts, and only whoever was asked takes over."""

from datetime import timedelta
from pathlib import Path

from holdfast.kernel import format_at
from holdfast.response.commands import Probe
from holdfast.response.ports import Effect, Repeatability
from tests.response.response_world import BOT
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import KIM, PLACE, RAVI, Stage, everything, opened, without_a_runbook

ROWS = Group("Taking command, and handing it over")
ACCEPT = "Whoever it was handed to accepts or refuses; the giver can `holdfast recall INCIDENT`"


def commanded() -> Stage:
    stage = without_a_runbook("guided")
    assert stage.charter().ok
    return stage


def handed_over(stage: Stage | None = None) -> Stage:
    """Hand it from dana to ravi, who has not answered."""
    stage = stage or commanded()
    answer = stage.ask("handoff", to="ravi", because="my shift ends")
    assert answer.ok, answer.message
    return stage


@ROWS.unsafe(
    "The giver directs after a handoff that nobody accepted",
    stops=Stop.REQUEST,
    way_out=ACCEPT,
)
def giver_directs(_directory: Path) -> Met:
    stage = handed_over()
    return stage.meets(stage.directing())


@ROWS.unsafe("The receiver directs before accepting", stops=Stop.REQUEST, way_out=ACCEPT)
def receiver_directs(_directory: Path) -> Met:
    stage = handed_over()
    return stage.meets(stage.directing(by=RAVI))


@ROWS.unsafe(
    "An approval of a waiting step, after the incident was handed over",
    stops=Stop.REQUEST,
    way_out=ACCEPT,
)
def approved_between_two(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct(action="failover_db", target="shop-db")
    handed_over(stage)
    return stage.meets(stage.approving(by=KIM))


@ROWS.unsafe(
    "The autonomous loop goes on after a handoff",
    stops=Stop.REQUEST,
    way_out=ACCEPT,
)
def loop_goes_on(_directory: Path) -> Met:
    stage = Stage()
    stage.acted_elsewhere("restart_service", "shop-api", 1)
    opened(stage)
    handed_over(stage)
    met = stage.meets(lambda: stage.wait(30), lambda: "nothing")
    asked = stage.meets(lambda: stage.ask("resume", because="go on"))
    return Met(said=asked.said, done=met.done + asked.done)


@ROWS.unsafe(
    "A step in doubt would be repeated, safe at its target, after a handoff",
    stops=Stop.REQUEST,
    way_out=ACCEPT,
)
def repeat_between_two(_directory: Path) -> Met:
    stage = Stage(probe=Effect.ABSENT, stop_at=(Probe,))
    stage.outcomes.append("the reply was lost")
    opened(stage)
    handed_over(stage)
    stage.stop_at = ()
    met = stage.meets(lambda: stage.wait(30), lambda: "nothing")
    asked = stage.meets(lambda: stage.ask("resume", because="go on"))
    return Met(said=asked.said, done=met.done + asked.done)


@ROWS.unsafe("Somebody accepts a handoff that is not for them", stops=Stop.REQUEST, way_out=ACCEPT)
def accepted_by_a_stranger(_directory: Path) -> Met:
    stage = handed_over()
    return stage.meets(lambda: stage.ask("accept", actor=KIM, because="I can"))


@ROWS.unsafe("An agent accepts a handoff", stops=Stop.REQUEST, way_out=ACCEPT)
def accepted_by_an_agent(_directory: Path) -> Met:
    stage = handed_over()
    return stage.meets(lambda: stage.ask("accept", actor=BOT, because="I can"))


@ROWS.unsafe(
    "An acceptance that comes after the handoff was recalled",
    stops=Stop.REQUEST,
    way_out="It stays with the giver; hand it over again if that is wanted",
)
def accepted_after_the_recall(_directory: Path) -> Met:
    stage = handed_over()
    assert stage.ask("recall", because="I stay").ok
    return stage.meets(lambda: stage.ask("accept", actor=RAVI, because="I have it"))


@ROWS.unsafe(
    "Two accept at the same moment",
    stops=Stop.REQUEST,
    way_out="The first of them has it",
)
def accepted_twice(_directory: Path) -> Met:
    stage = handed_over()
    assert stage.ask("accept", actor=RAVI, because="I have it").ok
    return stage.meets(lambda: stage.ask("accept", actor=RAVI, because="I have it"))


@ROWS.unsafe("Somebody recalls a handoff of another one", stops=Stop.REQUEST, way_out=ACCEPT)
def recalled_by_a_stranger(_directory: Path) -> Met:
    stage = handed_over()
    return stage.meets(lambda: stage.ask("recall", actor=KIM, because="no"))


@ROWS.unsafe(
    "The former commander directs after somebody accepted",
    stops=Stop.GUARD,
    rule="charter",
    way_out="Tell the new commander",
)
def former_commander_directs(_directory: Path) -> Met:
    stage = handed_over()
    assert stage.ask("accept", actor=RAVI, because="I have it").ok
    return stage.meets(stage.directing(), lambda: stage.blocked("charter"))


@ROWS.unsafe(
    "Back to the system while a step is in doubt",
    stops=Stop.REQUEST,
    way_out="Settle the step first",
)
def back_with_a_doubt(_directory: Path) -> Met:
    stage = Stage(world=everything(kind=Repeatability.PROBEABLE), probe=Effect.ABSENT)
    stage.outcomes.append("the reply was lost")
    opened(stage)
    stage.wait(30)
    stage.ask("ack", because="I am on it")
    return stage.meets(lambda: stage.ask("handoff", to="holdfast", because="your turn"))


@ROWS.unsafe(
    "Back to the system while a target of an earlier step can't be read",
    stops=Stop.REQUEST,
    way_out="Make it readable, then hand it back",
)
def back_out_of_sight(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.ask("did", action="restart_service", target=PLACE, because="it was quicker")
    text = "shop-api@east can't be reached: the socket is gone"
    stage.looks = {PLACE: {"text": text, "reachable": False, "planes": [], "seen": None}}
    return stage.meets(lambda: stage.ask("handoff", to="holdfast", because="your turn"))


def charter(**more: object) -> Met:
    """Set a charter that must be refused."""
    stage = without_a_runbook("guided")
    return stage.meets(lambda: stage.charter(**more))


@ROWS.unsafe(
    "A charter for everything: `--allow '*:*'`",
    stops=Stop.REQUEST,
    way_out="Name each action and its targets",
)
def charter_for_everything(_directory: Path) -> Met:
    return charter(allowed=[{"action": "*", "targets": ["*"]}])


@ROWS.unsafe(
    "A charter for a week",
    stops=Stop.REQUEST,
    way_out="Set it for a day at most, and again when it ends",
)
def charter_for_a_week(_directory: Path) -> Met:
    stage = without_a_runbook("guided")
    ends = format_at(stage.now + timedelta(days=7))
    return stage.meets(lambda: stage.charter(expires_at=ends))


@ROWS.unsafe(
    "A charter that allows an action nobody knows",
    stops=Stop.REQUEST,
    way_out="Correct the name",
)
def charter_with_an_unknown_action(_directory: Path) -> Met:
    return charter(allowed=[{"action": "rollback_deplyo", "targets": ["shop-api"]}])


def left_alone(stage: Stage, seconds: float) -> Met:
    """Let time pass in which nobody says anything."""
    pages = stage.state.pages
    met = stage.meets(lambda: stage.wait(seconds), lambda: str(stage.state.escalated["why"]))  # type: ignore[index]
    assert stage.held()
    assert stage.state.pages > pages, "nobody was called"
    return met


@ROWS.unsafe(
    "A commander who says nothing for ten minutes",
    stops=Stop.TIMER,
    way_out="Whoever is called takes over: `holdfast accept INCIDENT`",
)
def silent_commander(_directory: Path) -> Met:
    return left_alone(commanded(), 700)


@ROWS.unsafe(
    "A handoff that nobody accepts",
    stops=Stop.TIMER,
    way_out="Whoever is called accepts, or the giver recalls it",
)
def unaccepted_handoff(_directory: Path) -> Met:
    return left_alone(handed_over(), 700)


@ROWS.unsafe(
    "An approval that nobody gives",
    stops=Stop.TIMER,
    way_out="`holdfast resume INCIDENT`: it is proposed and asked about anew",
)
def unanswered_approval(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct(action="failover_db", target="shop-db")
    return stage.meets(lambda: stage.wait(700), stage.held)


@ROWS.unsafe(
    "A clock that is set back after the last step: the silence before it seems to go on",
    stops=Stop.TIMER,
    way_out="Set the clock right; whoever is called takes over, and is called once",
)
def clock_set_back_in_a_silence(_directory: Path) -> Met:
    stage = commanded()
    stage.now += timedelta(minutes=50)
    stage.direct()
    stage.wait(60)
    stage.now -= timedelta(minutes=45)
    assert stage.charter(expires_at=format_at(stage.now + timedelta(minutes=1))).ok
    met = left_alone(stage, 120)
    called = [r for r in stage.records if r.data.get("asks") and r.data["level"] == 1]
    assert len(called) == 1, "it calls the same person again and again"
    return met
