"""A yes that is worn out, meant for something else, given by the wrong one, or given in a race."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from holdfast.incident import Kind, State
from holdfast.incident.system import FROZEN
from holdfast.kernel import SystemClock
from holdfast.ledger import MemoryLedger
from holdfast.policy import Limits
from holdfast.response.commands import Prepare
from tests.engine.engine_parts import Site, site, with_world
from tests.response.response_world import GOOD, runbook, world
from tests.scene import DANA
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import (
    KIM,
    PLACE,
    RAVI,
    Stage,
    opened,
    without_a_runbook,
)

ROWS = Group("Approvals")
AGAIN = "Read `holdfast incident show INCIDENT` and approve the step as it is now"


def waiting(*targets: str) -> Stage:
    """A step of high impact waits for an approval."""
    return opened(Stage(world=world(runbook(*(targets or ("${entity}",)), impact="high"))))


@ROWS.unsafe(
    "An approval sent a second time, after the step was performed",
    stops=Stop.REQUEST,
    way_out="Nothing: it was used once. A step that is needed again is a step of its own",
)
def approval_replayed(_directory: Path) -> Met:
    stage = waiting()
    stage.approving()()
    assert stage.performed() == 1, "the approval counts once"
    return stage.meets(stage.approving())


@ROWS.unsafe("An approval of one step, sent for the next one", stops=Stop.REQUEST, way_out=AGAIN)
def approval_of_another_step(_directory: Path) -> Met:
    stage = waiting(PLACE, "shop-api@west")
    stage.approving()()
    first = stage.state.steps[0].hash
    stage.level(0.0225)
    stage.wait(20)
    assert stage.state.steps[-1].step_id == "S2"
    return stage.meets(stage.approving("S2", first))


@ROWS.unsafe(
    "An approval of one incident's step, sent for the very same step of another incident",
    stops=Stop.REQUEST,
    way_out=AGAIN,
)
def approval_of_another_incident(_directory: Path) -> Met:
    other = Stage(
        world=world(runbook("${entity}", impact="high")), state=State(incident_id="INC-2")
    )
    opened(other)
    stage = waiting()
    return stage.meets(stage.approving("S1", other.state.steps[0].hash))


@ROWS.unsafe(
    "An approval of a step that was changed since: the same step with other parameters",
    stops=Stop.REQUEST,
    way_out=AGAIN,
)
def approval_of_what_the_step_was(_directory: Path) -> Met:
    stage = without_a_runbook(limits=Limits(always_approve=frozenset({"failover_db", "scale_up"})))
    stage.direct(action="scale_up", target=PLACE, params={"by": 1})
    before = stage.state.steps[-1].hash
    stage.ask("deny", actor=RAVI, step_id="S1", because="make it two")
    stage.direct(action="scale_up", target=PLACE, params={"by": 2})
    return stage.meets(stage.approving("S2", before))


@ROWS.unsafe(
    "An approval by the last few characters of a hash",
    stops=Stop.REQUEST,
    way_out="Give the hash as it is shown",
)
def approval_by_a_guess(_directory: Path) -> Met:
    stage = waiting()
    return stage.meets(stage.approving("S1", stage.state.steps[0].hash[:5]))


@ROWS.unsafe(
    "An approval that comes too late",
    stops=Stop.REQUEST,
    way_out="`holdfast resume INCIDENT`: it is proposed and asked about anew",
)
def approval_too_late(_directory: Path) -> Met:
    stage = waiting()
    stage.wait(200)
    return stage.meets(stage.approving())


def approved_at(change: timedelta) -> Met:
    """Approve a restart, and let the clock jump before it is judged once more."""
    needed = frozenset({"failover_db", "restart_service"})
    stage = without_a_runbook(limits=Limits(always_approve=needed))
    stage.direct(action="restart_service", target=PLACE)
    stage.stop_at = (Prepare,)
    stage.approving()()
    stage.now += change
    stage.stop_at = ()
    return stage.meets(stage.run, lambda: stage.blocked("approval"))


@ROWS.unsafe(
    "A clock that jumps an hour between an approval and its step",
    stops=Stop.GUARD,
    way_out="Approve it again, on what is true now",
)
def approval_expires_before_the_step(_directory: Path) -> Met:
    return approved_at(timedelta(hours=1))


@ROWS.unsafe(
    "A clock that is set back an hour after an approval",
    stops=Stop.GUARD,
    way_out="Set the clock right and approve it again",
)
def approval_from_the_future(_directory: Path) -> Met:
    return approved_at(-timedelta(hours=1))


def four_eyes() -> Stage:
    """Ask for two people, and let dana direct a failover."""
    stage = without_a_runbook(limits=Limits(four_eyes=True))
    stage.direct(action="failover_db", target="shop-db")
    return stage


@ROWS.unsafe(
    "Under four eyes, an approval by whoever directed the step",
    stops=Stop.GUARD,
    way_out="Somebody else approves it",
)
def approved_by_the_director(_directory: Path) -> Met:
    stage = four_eyes()
    return stage.meets(stage.approving(by=DANA), lambda: stage.blocked("approval"))


@ROWS.unsafe(
    "The same with a second token of that person",
    stops=Stop.GUARD,
    way_out="Somebody else approves it: people count, not tokens",
)
def approved_with_a_second_token(_directory: Path) -> Met:
    stage = four_eyes()
    again = stage.approving(by=replace(DANA, token_id="t-99"))
    return stage.meets(again, lambda: stage.blocked("approval"))


@ROWS.unsafe(
    "One denies a step and another approves it at the same moment",
    stops=Stop.REQUEST,
    way_out="Talk to each other; then `holdfast resume INCIDENT`, and it is asked about anew",
)
def denied_and_approved_at_once(_directory: Path) -> Met:
    stage = waiting()
    stage.ask("deny", actor=KIM, step_id="S1", because="not on a Friday")
    return stage.meets(stage.approving())


@ROWS.unsafe(
    "Two people approve at the same moment",
    stops=Stop.REQUEST,
    way_out="Nothing: it is performed once",
)
def approved_twice_at_once(_directory: Path) -> Met:
    stage = waiting()
    stage.stop_at = (Prepare,)
    stage.approving(by=KIM)()
    second = stage.meets(stage.approving())
    stage.stop_at = ()
    stage.run()
    assert stage.performed() == 1, "the first of them counts"
    return second


@ROWS.unsafe(
    "An approved step whose trouble is over by then",
    stops=Stop.REQUEST,
    way_out="Nothing: nothing is done for a trouble that is over",
)
def approved_after_the_trouble(_directory: Path) -> Met:
    stage = waiting()
    stage.level(GOOD)
    stage.wait(20)
    return stage.meets(stage.approving())


@ROWS.unsafe(
    "An approved step whose target can't be looked at any more",
    stops=Stop.TARGET,
    way_out="Look why; then `holdfast resume INCIDENT`",
)
def approved_but_out_of_sight(_directory: Path) -> Met:
    stage = waiting()
    stage.problem = "shop-api can't be reached: the socket is gone"
    return stage.meets(stage.approving(), stage.blocked)


def once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]
    return lambda: left.pop()() if left else None


def frozen(made: Site) -> None:
    data = {"scope": "all", "because": "stop everything"}
    made.ledger.append_system(FROZEN, data, made.dana(), made.clock.now())


@ROWS.unsafe(
    "An approval and a freeze at the same moment: the freeze comes after the guard allowed the "
    "step and before its intent is written",
    stops=Stop.SECOND_LOOK,
    way_out="`holdfast thaw` once it is safe, and `holdfast resume INCIDENT`",
)
def approved_while_it_is_frozen(directory: Path) -> Met:
    with site(directory, ledger=MemoryLedger(SystemClock())) as made:
        with_world(made, mode="supervised")
        made.dana()
        made.open()
        made.start()
        made.seen.until(made.seen.has("paged"))
        # The target is looked at after the installation was: what comes now comes after the guard.
        made.action.looking = once(lambda: frozen(made))
        digest = made.state().steps[0].hash
        asked = made.submit("approve", step_id="S1", hash=digest, because="I read it")
        assert made.answer(asked).ok
        made.seen.until(made.seen.has("step_blocked"))
        told = next(r for r in made.seen.records if r.kind == Kind.STEP_BLOCKED)
        return Met(said=str(told.data["why"]), done=len(made.effects()))
