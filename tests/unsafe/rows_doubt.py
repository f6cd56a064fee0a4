"""What nobody knows the outcome of, and workers that come back too late."""

from datetime import timedelta
from pathlib import Path

from holdfast.incident import Kind
from holdfast.kernel import ManualClock, StaleFenceError
from holdfast.ledger import SqliteLedger
from holdfast.policy import Freeze, Mode, SetMode
from holdfast.response.commands import Probe
from holdfast.response.ports import Effect, Repeatability
from tests.ledger.ledger_parts import LEASE_S, claim_next, intent, seen
from tests.ledger.ledger_parts import START as LEDGER_START
from tests.ledger.ledger_parts import opened as claimed
from tests.response.response_world import world
from tests.scene import START
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import PLACE, Stage, opened

ROWS = Group("In doubt")
SETTLE = (
    "Look at the target, then `holdfast settle INCIDENT STEP happened` or `not-happened` with "
    "`--evidence TEXT`"
)


def doubtful(kind: Repeatability = Repeatability.PROBEABLE, probe: Effect = Effect.ABSENT) -> Stage:
    """A step was sent and its reply was lost. What a probe would see is not looked at yet."""
    stage = Stage(world=world(kind=kind), probe=probe, stop_at=(Probe,))
    stage.outcomes.append("the reply was lost")
    opened(stage)
    assert stage.performed() == 1
    return stage


def looked_at(stage: Stage) -> Met:
    """Let the target be probed: nothing may be done again."""
    stage.stop_at = ()
    return stage.meets(lambda: stage.run().wait(30), stage.held)


def held() -> Stage:
    """A step in doubt whose target was probed, so that it waits for a person."""
    stage = doubtful()
    looked_at(stage)
    return stage


@ROWS.unsafe(
    "A reply that was lost, and a target that does not show the effect: it may be under way still",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def repeat_after_a_lost_reply(_directory: Path) -> Met:
    return looked_at(doubtful())


@ROWS.unsafe(
    "The same for an action that leaves no trace at all",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def repeat_without_a_trace(_directory: Path) -> Met:
    return looked_at(doubtful(Repeatability.NONE, Effect.UNKNOWN))


@ROWS.unsafe(
    "A repeat, safe at its target, during a freeze",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def repeat_in_a_freeze(_directory: Path) -> Met:
    stage = doubtful(Repeatability.IDEMPOTENT)
    stage.freeze = Freeze(scope="all", by="kim", why="data may be lost", since=START)
    return looked_at(stage)


@ROWS.unsafe(
    "A repeat, safe at its target, after a person set the mode to observe",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def repeat_in_observe(_directory: Path) -> Met:
    stage = doubtful(Repeatability.IDEMPOTENT)
    said = SetMode(scope="all", mode=Mode.OBSERVE, by="kim", why="an audit", since=START)
    stage.modes = (said,)
    return looked_at(stage)


@ROWS.unsafe(
    "A repeat with the token of the first try, which may still be on its way to the target",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def repeat_with_the_same_token(_directory: Path) -> Met:
    stage = doubtful(Repeatability.REFUSES_STALE_TOKEN)
    stage.newer_token = False
    return looked_at(stage)


@ROWS.unsafe(
    "A directive beside a step in doubt",
    stops=Stop.REQUEST,
    way_out=SETTLE,
)
def directive_beside_a_doubt(_directory: Path) -> Met:
    stage = held()
    return stage.meets(stage.directing())


@ROWS.unsafe(
    "Resuming an incident while a step is in doubt",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def resumed_in_doubt(_directory: Path) -> Met:
    stage = held()
    asked = lambda: stage.ask("resume", because="it will be fine")  # noqa: E731 - a deed
    return stage.meets(asked, stage.held)


@ROWS.unsafe(
    "Dismissing an incident while a step is in doubt",
    stops=Stop.REQUEST,
    way_out=SETTLE,
)
def dismissed_in_doubt(_directory: Path) -> Met:
    stage = held()
    return stage.meets(lambda: stage.ask("dismiss", because="a drill"))


@ROWS.unsafe(
    "Another incident's step on a target where a step is in doubt",
    stops=Stop.GUARD,
    rule="reservation",
    way_out="Settle the other incident's step first",
)
def another_incident_beside_a_doubt(_directory: Path) -> Met:
    stage = Stage().acted_elsewhere("restart_service", "shop-api", 300, settled=False)
    return stage.meets(lambda: opened(stage), lambda: stage.blocked("reservation"))


@ROWS.unsafe(
    "A worker that dies between a step's intent and its outcome: the next one takes over",
    stops=Stop.PROBE,
    way_out=SETTLE,
)
def worker_died(_directory: Path) -> Met:
    stage = Stage(world=world(kind=Repeatability.PROBEABLE), probe=Effect.ABSENT)
    stage.dies_after_intent = True
    opened(stage)
    stage.dies_after_intent = False
    return stage.meets(lambda: stage.run().wait(30), stage.held)


@ROWS.unsafe(
    "A paused worker that wakes up after another one took its incident over",
    stops=Stop.SECOND_LOOK,
    way_out="Nothing: the incident is in the hands of the other worker",
)
def paused_worker(directory: Path) -> Met:
    clock = ManualClock(LEDGER_START)
    ledger = SqliteLedger(directory / "holdfast.db", clock)
    try:
        late = claimed(ledger)
        clock.jump(timedelta(seconds=2 * LEASE_S))
        claim_next(ledger)
        said = "it was written"
        try:
            ledger.append(intent(late, seen(ledger, late)))
        except StaleFenceError as error:
            said = error.message
        long_ago = LEDGER_START - timedelta(days=1)
        return Met(said=said, done=len(ledger.actions_on(PLACE, long_ago)))
    finally:
        ledger.close()


@ROWS.unsafe(
    "Settling a step that is not in doubt",
    stops=Stop.REQUEST,
    way_out="Nothing: its outcome is known",
)
def settling_what_is_known(_directory: Path) -> Met:
    stage = opened(Stage())
    assert stage.last(Kind.STEP_FINISHED)["outcome"] == "succeeded"
    return stage.meets(
        lambda: stage.ask("settle", step_id="S1", happened=False, evidence="I looked")
    )
