"""Too much, too often, too old, or at the wrong time: what the guard's limits stop."""

from datetime import timedelta
from pathlib import Path

from holdfast.policy import Freeze, Limits, Override, Window
from tests.response.response_world import NO_EFFECT, runbook, world
from tests.scene import DANA, START
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import PLACE, Stage, everything, opened, without_a_runbook

ROWS = Group("Too much, too often, or at the wrong time")
OVERRIDES = Group("Overrides")
AN_HOUR = timedelta(hours=1)


def restarting(**more: object) -> Stage:
    """A runbook wants to restart a place that was restarted twice just now."""
    stage = Stage(world=everything(runbook(PLACE)), **more)  # type: ignore[arg-type]
    return stage.acted_elsewhere("restart_service", PLACE, 60, 120)


def override(limit: str = "restarts_per_target", *, left: timedelta = AN_HOUR) -> Override:
    return Override(
        override_id="0a1b2c3d", limit=limit, by="ravi", why="a full disk", expires_at=START + left
    )


def window(stage: Stage, name: str, why: str) -> Window:
    return Window(
        window_id=name,
        scope="shop-api",
        starts_at=START,
        ends_at=stage.now + AN_HOUR,
        by="kim",
        why=why,
    )


def refused(stage: Stage) -> Met:
    """Let a runbook's step be refused on this stage."""
    return stage.meets(lambda: opened(stage), stage.blocked)


@ROWS.unsafe(
    "A third restart of the same place in ten minutes, whatever incident the first two were of",
    stops=Stop.GUARD,
    rule="restarts",
    way_out="Look for the cause; `holdfast override INCIDENT restarts_per_target` allows one more",
)
def third_restart(_directory: Path) -> Met:
    return refused(restarting())


@ROWS.unsafe(
    "Four instances more at once",
    stops=Stop.GUARD,
    rule="instances_added",
    way_out="Ask for fewer, or `holdfast override INCIDENT instances_added_max`",
)
def four_instances(_directory: Path) -> Met:
    stage = without_a_runbook()
    asked = stage.directing(action="scale_up", target=PLACE, params={"by": 4})
    return stage.meets(asked, stage.blocked)


@ROWS.unsafe(
    "A scale-up that does not say by how much",
    stops=Stop.GUARD,
    rule="instances_added",
    way_out="Say it: `-p by=1`",
)
def scaling_by_an_unknown_number(_directory: Path) -> Met:
    stage = without_a_runbook()
    asked = stage.directing(action="scale_up", target=PLACE, params={"by": "many"})
    return stage.meets(asked, stage.blocked)


@ROWS.unsafe(
    "A rollback of a release that went out two hours ago",
    stops=Stop.GUARD,
    rule="rollback_age",
    way_out="Make sure that nothing depends on it, then `holdfast override INCIDENT "
    "rollback_age_max_s`",
)
def old_release(_directory: Path) -> Met:
    return refused(Stage(now=START + 2 * AN_HOUR))


@ROWS.unsafe(
    "A release that, by its own word, goes out in an hour: one of the two clocks is wrong",
    stops=Stop.GUARD,
    rule="rollback_age",
    way_out="Set the clock right; no override raises this",
)
def release_from_the_future(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.now -= AN_HOUR
    return stage.meets(stage.directing(), stage.blocked)


@ROWS.unsafe(
    "Both regions of a service at once",
    stops=Stop.GUARD,
    rule="regions",
    way_out="Direct one region after the other",
)
def both_regions(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(action="restart_service"), stage.blocked)


@ROWS.unsafe(
    "The second region while the step on the first one is not verified",
    stops=Stop.GUARD,
    rule="regions",
    way_out="Wait until the first region is verified",
)
def second_region_too_soon(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct(action="restart_service", target=PLACE)
    stage.wait(60)
    asked = stage.directing(action="restart_service", target="shop-api@west")
    return stage.meets(asked, stage.blocked)


@ROWS.unsafe(
    "Two of a pool's three servers out at once",
    stops=Stop.GUARD,
    rule="pool_share",
    way_out="Put one back first, or `holdfast override INCIDENT pool_share_max`",
)
def most_of_a_pool(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.observed = {"pool_share": 2 / 3}
    return stage.meets(stage.directing(action="drain_pool", target=PLACE), stage.blocked)


@ROWS.unsafe(
    "A step on a place that was acted on a moment ago",
    stops=Stop.GUARD,
    rule="cooldown",
    way_out="Wait, it goes on by itself; or `holdfast override INCIDENT cooldown`",
)
def too_soon(_directory: Path) -> Met:
    stage = Stage(world=everything(runbook(PLACE)))
    stage.acted_elsewhere("restart_service", PLACE, 1)
    return stage.meets(lambda: opened(stage), lambda: stage.judged("cooldown"))


@ROWS.unsafe(
    "An incident that has acted twenty times within the hour",
    stops=Stop.GUARD,
    rule="rates",
    way_out="Stop and look; `holdfast override INCIDENT actions_per_incident` allows one more",
)
def restless_incident(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.acted_elsewhere("scale_up", "shop-db", *range(100, 120), incident_id="INC-1")
    return stage.meets(stage.directing(), stage.blocked)


@ROWS.unsafe(
    "An installation that has acted sixty times within the hour, in all incidents together",
    stops=Stop.GUARD,
    rule="rates",
    way_out="Look what goes round in circles; `holdfast freeze` stops all of it",
)
def restless_installation(_directory: Path) -> Met:
    stage = Stage().acted_elsewhere("restart_service", "shop-db@east", *range(100, 160))
    return refused(stage)


@ROWS.unsafe(
    "A step on what people are at work on",
    stops=Stop.GUARD,
    rule="maintenance",
    way_out="Wait for the end of the window, or `holdfast maintenance end WINDOW`",
)
def in_maintenance(_directory: Path) -> Met:
    stage = Stage()
    stage.window = window(stage, "MW-1", "new disks")
    return refused(stage)


@ROWS.unsafe(
    "A step of an autonomous runbook within a change freeze",
    stops=Stop.GUARD,
    rule="change_freeze",
    way_out="Approve it as an emergency change, or deny it",
)
def in_a_change_freeze(_directory: Path) -> Met:
    stage = Stage()
    frozen = window(stage, "sales", "the sale of the year")
    stage.world = everything(change_freezes=(frozen,))
    return stage.meets(lambda: opened(stage), stage.asked)


@ROWS.unsafe(
    "Any step during `holdfast freeze`",
    stops=Stop.GUARD,
    rule="freeze",
    way_out="`holdfast thaw` once it is safe again",
)
def in_a_freeze(_directory: Path) -> Met:
    return refused(Stage(freeze=Freeze(scope="all", by="kim", why="data may be lost", since=START)))


@ROWS.unsafe(
    "A failover of a database, in the most autonomous mode",
    stops=Stop.GUARD,
    way_out="`holdfast approve INCIDENT STEP --hash HASH`, or deny it",
)
def failover_by_itself(_directory: Path) -> Met:
    stage = without_a_runbook()
    asked = stage.directing(action="failover_db", target="shop-db")
    return stage.meets(asked, lambda: stage.asked("limit"))


@ROWS.unsafe(
    "An action that the configuration always wants approved, in the most autonomous mode",
    stops=Stop.GUARD,
    rule="always_approved",
    way_out="`holdfast approve INCIDENT STEP --hash HASH`, or deny it",
)
def always_approved(_directory: Path) -> Met:
    named = frozenset({"failover_db", "scale_up"})
    stage = without_a_runbook(limits=Limits(always_approve=named))
    asked = stage.directing(action="scale_up", target=PLACE, params={"by": 1})
    return stage.meets(asked, lambda: stage.asked("limit"))


@ROWS.unsafe(
    "A runbook's next attempt when no retry is left",
    stops=Stop.GUARD,
    rule="retries",
    way_out="Direct another step, or mend it and `holdfast resume`",
)
def no_retry_left(_directory: Path) -> Met:
    stage = Stage(world=world(runbook(PLACE, retries=0)))
    stage.outcomes.append(NO_EFFECT)
    opened(stage)
    return stage.meets(lambda: stage.wait(60), stage.held)


@OVERRIDES.unsafe(
    "An override on an incident that a person holds",
    stops=Stop.REQUEST,
    way_out="`holdfast resume INCIDENT` first; an override passes no hold",
)
def override_while_held(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.ask("hold", actor=DANA, because="nobody touches it")
    stage.overrides = (override(),)
    return stage.meets(stage.directing())


@OVERRIDES.unsafe(
    "An override during a freeze",
    stops=Stop.GUARD,
    rule="freeze",
    way_out="`holdfast thaw` first; an override passes no freeze",
)
def override_in_a_freeze(_directory: Path) -> Met:
    stage = restarting(freeze=Freeze(scope="all", by="kim", why="data may be lost", since=START))
    stage.overrides = (override(),)
    return refused(stage)


@OVERRIDES.unsafe(
    "An override that was used up, by the next attempt",
    stops=Stop.GUARD,
    rule="restarts",
    way_out="Ask whether one more really helps, and give another override",
)
def override_used_twice(_directory: Path) -> Met:
    stage = restarting()
    stage.overrides = (override(),)
    stage.outcomes.append(NO_EFFECT)
    opened(stage)
    assert stage.performed() == 1, "the override allows the first one"
    return stage.meets(lambda: stage.wait(30), stage.blocked)


@OVERRIDES.unsafe(
    "An override that has ended",
    stops=Stop.GUARD,
    rule="restarts",
    way_out="Give another one",
)
def override_after_its_end(_directory: Path) -> Met:
    stage = restarting()
    stage.overrides = (override(left=timedelta(seconds=1)),)
    return refused(stage)
