"""A directive on a state that is not what its author believes, or in words that are not theirs."""

from datetime import timedelta
from pathlib import Path

from holdfast.response.ports import Health
from tests.response.response_world import BOT, GOOD
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import PLACE, Stage, without_a_runbook

ROWS = Group("What is directed, on which readings, in whose words")
READ_AGAIN = "Look again (`holdfast incident look INCIDENT`), then direct on what is true now"
OWN_WORDS = "Say in your own words why you decide so"


def on_the_live_state(stage: Stage, **more: object) -> Met:
    """Direct something, and let it be refused by what is read of the live state."""
    return stage.meets(stage.directing(**more), lambda: stage.blocked("live state"))


@ROWS.unsafe(
    "A directive on readings that have stopped coming",
    stops=Stop.GUARD,
    rule="live",
    way_out=READ_AGAIN,
)
def stale_live_state(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.sampler_stopped_at = stage.now
    stage.now += timedelta(seconds=30)
    return on_the_live_state(stage)


@ROWS.unsafe(
    "A directive while two readings exclude each other: two databases take writes",
    stops=Stop.GUARD,
    rule="live",
    way_out="Find out which of them is right before anything is done",
)
def contradicting_live_state(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.checks = {**stage.checks, "replication_status": Health.DEGRADED}
    stage.found = {"replication_status": {"two_primaries": True}}
    return on_the_live_state(stage)


@ROWS.unsafe(
    "A directive whose criterion asks for what nobody measures",
    stops=Stop.GUARD,
    rule="live",
    way_out="Name a signal that is measured",
)
def unmeasured_criterion(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.unsampled = frozenset({"orders"})
    return on_the_live_state(stage, expect=["orders >= 1 for 6s in each region"])


@ROWS.unsafe(
    "A directive on a target that changed since its dry run (`--seen`)",
    stops=Stop.GUARD,
    rule="live",
    way_out=READ_AGAIN,
)
def target_changed_since(_directory: Path) -> Met:
    stage = without_a_runbook()
    rehearsed = stage.direct(dry_run=True)
    stage.observed = {"current": "2.4.1"}
    return on_the_live_state(stage, seen=rehearsed.data["seen"])


@ROWS.unsafe(
    "A directive whose own assumption does not hold (`--when`)",
    stops=Stop.GUARD,
    rule="preconditions",
    way_out=READ_AGAIN,
)
def assumption_that_fails(_directory: Path) -> Met:
    stage = without_a_runbook()
    asked = stage.directing(when=['checks.http_health.status == "down"'])
    return stage.meets(asked, lambda: stage.blocked("precondition"))


@ROWS.unsafe("A directive without a reason", stops=Stop.REQUEST, way_out=OWN_WORDS)
def no_reason(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(because="  "))


@ROWS.unsafe(
    "A directive whose reason is the text of an agent's suggestion",
    stops=Stop.REQUEST,
    way_out=OWN_WORDS,
)
def words_of_a_suggestion(_directory: Path) -> Met:
    stage = without_a_runbook()
    because = "2.4.0 went out a minute before."
    stage.ask("propose", actor=BOT, action="rollback_deploy", target="shop-api", because=because)
    return stage.meets(stage.directing(because=because.upper().replace(" ", "  ")))


@ROWS.unsafe(
    "A directive whose reason is the text of a hypothesis",
    stops=Stop.REQUEST,
    way_out=OWN_WORDS,
)
def words_of_a_hypothesis(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(because=str(stage.state.hypotheses[0]["text"])))


@ROWS.unsafe(
    "An approval whose reason is the text of a hypothesis",
    stops=Stop.REQUEST,
    way_out=OWN_WORDS,
)
def approval_in_words_of_a_hypothesis(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct(action="failover_db", target="shop-db")
    words = {"hash": stage.state.steps[0].hash, "because": stage.state.hypotheses[0]["text"]}
    return stage.meets(lambda: stage.ask("approve", step_id="S1", **words))


@ROWS.unsafe(
    "A directive while the incident is not diagnosed yet",
    stops=Stop.REQUEST,
    way_out="Wait for the checks, a few seconds",
)
def before_the_diagnosis(_directory: Path) -> Met:
    stage = Stage()
    stage.open()
    return Met(said=stage.direct().message, done=stage.performed())


@ROWS.unsafe(
    "A directive after the incident has ended",
    stops=Stop.REQUEST,
    way_out="If the trouble is there, it is reopened, or another incident is",
)
def after_the_end(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.ask("dismiss", because="a drill")
    return stage.meets(stage.directing())


def undoing(stage: Stage, step_id: str = "S1") -> Met:
    return stage.meets(lambda: stage.ask("undo", step_id=step_id, because="it made it worse"))


def directed(**observed: object) -> Stage:
    """A directed step was performed; its verdict is in."""
    stage = without_a_runbook()
    stage.observed = observed
    stage.direct(action="restart_service", target=PLACE)
    stage.wait(60)
    assert stage.performed() == 1
    return stage


@ROWS.unsafe(
    "An undo of what can't be undone",
    stops=Stop.REQUEST,
    way_out="Direct what helps instead",
)
def undo_of_what_is_final(_directory: Path) -> Met:
    return undoing(directed(reversible="no: a restart can't be taken back"))


@ROWS.unsafe(
    "An undo of a step that was never performed",
    stops=Stop.REQUEST,
    way_out="Nothing: there is nothing to undo",
)
def undo_of_nothing(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct(expect=[])
    return undoing(stage)


@ROWS.unsafe(
    "An undo of a step that was undone before",
    stops=Stop.REQUEST,
    way_out="Direct the action again, if it is wanted again",
)
def undo_twice(_directory: Path) -> Met:
    stage = directed()
    stage.level(GOOD)
    assert stage.ask("undo", step_id="S1", because="it made it worse").ok
    stage.wait(30)
    return undoing(stage)


@ROWS.unsafe(
    "An undo within the cooldown of its target: it is a step like any other",
    stops=Stop.GUARD,
    rule="cooldown",
    way_out="Ask again once it has had time to settle",
)
def undo_too_soon(_directory: Path) -> Met:
    stage = directed()
    stage.acted_elsewhere("restart_service", PLACE, 1)
    return stage.meets(
        lambda: stage.ask("undo", step_id="S1", because="it made it worse"),
        lambda: stage.judged("cooldown"),
    )


@ROWS.unsafe(
    "A restart by machine, a moment after a person restarted it by hand",
    stops=Stop.GUARD,
    rule="cooldown",
    way_out="Direct it once it has had time to settle, if it is still wanted",
)
def restarted_by_hand(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.ask("did", action="restart_service", target=PLACE, because="it was quicker")
    return stage.meets(
        stage.directing(action="restart_service", target=PLACE),
        lambda: stage.judged("cooldown"),
    )


@ROWS.unsafe(
    "A deed by hand that is reported for a moment still to come",
    stops=Stop.REQUEST,
    way_out="Say when it was done",
)
def deed_of_the_future(_directory: Path) -> Met:
    stage = without_a_runbook()
    at = (stage.now + timedelta(hours=1)).isoformat()
    return stage.meets(
        lambda: stage.ask("did", action="restart_service", target=PLACE, because="x", at=at)
    )


@ROWS.unsafe(
    "A step skipped after it was performed",
    stops=Stop.REQUEST,
    way_out="`holdfast undo INCIDENT STEP`",
)
def skipped_too_late(_directory: Path) -> Met:
    stage = directed()
    return stage.meets(lambda: stage.ask("skip", step_id="S1", because="not needed"))
