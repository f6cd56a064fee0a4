"""A directed run that would leave its charter, cross a boundary or act between two commanders."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.policy import Boundary
from holdfast.response.commands import Prepare
from tests.response.response_world import runbook
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import KIM, PLACE, RAVI, Stage, opened, without_a_runbook

ROWS = Group("Charter, boundaries, handoff")
DATABASE = {
    "action": "failover_db",
    "target": "shop-db",
    "authority": "database-team",
    "why": "only they know the replicas",
}

RESTARTS = Boundary(action="restart_service", target="*", authority="release-team")


def commanded(**more: Any) -> Stage:  # noqa: ANN401 - any words of a charter
    """A guided incident that dana commands under a charter."""
    stage = without_a_runbook("guided")
    answer = stage.charter(**more)
    assert answer.ok, answer.message
    return stage


def outside(stage: Stage, **more: Any) -> Met:  # noqa: ANN401 - any words of a directive
    """Direct something that the charter does not cover."""
    return stage.meets(stage.directing(**more), lambda: stage.blocked("charter"))


@ROWS.unsafe(
    "A directive without a charter, in mode guided",
    stops=Stop.GUARD,
    rule="charter",
    way_out="`holdfast charter set INCIDENT`",
)
def no_charter(_directory: Path) -> Met:
    return outside(without_a_runbook("guided"))


@ROWS.unsafe(
    "A directive on a target that the charter does not name",
    stops=Stop.GUARD,
    rule="charter",
    way_out="A person sets a wider charter, on the record",
)
def target_outside_the_charter(_directory: Path) -> Met:
    return outside(commanded(), target="shop-db")


@ROWS.unsafe(
    "A directive of an action that the charter does not name",
    stops=Stop.GUARD,
    rule="charter",
    way_out="A person sets a wider charter, on the record",
)
def action_outside_the_charter(_directory: Path) -> Met:
    return outside(commanded(), action="restart_service", target=PLACE)


@ROWS.unsafe(
    "A directive after the charter expired",
    stops=Stop.GUARD,
    rule="charter",
    way_out="`holdfast charter set INCIDENT` again",
)
def expired_charter(_directory: Path) -> Met:
    stage = commanded()
    stage.now += timedelta(hours=2)
    return outside(stage)


@ROWS.unsafe(
    "A directive by somebody who may direct but is not the commander",
    stops=Stop.GUARD,
    rule="charter",
    way_out="Tell the commander, or have it handed over: `holdfast handoff INCIDENT --to WHO`",
)
def not_the_commander(_directory: Path) -> Met:
    stage = commanded()
    return stage.meets(stage.directing(by=RAVI), lambda: stage.blocked("charter"))


@ROWS.unsafe(
    "A directive across a boundary: it belongs to another team",
    stops=Stop.GUARD,
    rule="boundary",
    way_out="`holdfast handoff INCIDENT --to AUTHORITY`; they accept and direct it themselves",
)
def across_a_boundary(_directory: Path) -> Met:
    allowed = [{"action": "failover_db", "targets": ["shop-db"]}]
    stage = commanded(allowed=allowed, boundaries=[DATABASE])
    asked = stage.directing(action="failover_db", target="shop-db")
    return stage.meets(asked, lambda: stage.blocked("boundary"))


def standing() -> Stage:
    """An autonomous runbook, and a rollback that belongs to the release team."""
    stage = Stage()
    theirs = Boundary(action="rollback_deploy", target="*", authority="release-team")
    holders = {"release-team": frozenset({"ravi"})}
    stage.world = replace(stage.world, boundaries=(theirs,), holders=holders)
    return stage


@ROWS.unsafe(
    "A directive on a whole service, one region of which belongs to another team",
    stops=Stop.GUARD,
    rule="boundary",
    way_out="Direct the other regions one by one, or hand it over",
)
def around_a_boundary(_directory: Path) -> Met:
    stage = commanded(boundaries=[{**DATABASE, "action": "*", "target": "shop-api@west"}])
    return stage.meets(stage.directing(), lambda: stage.blocked("boundary"))


@ROWS.unsafe(
    "An autonomous runbook across a standing boundary of the configuration",
    stops=Stop.GUARD,
    rule="boundary",
    way_out="One of the authority approves it, or denies it",
)
def runbook_across_a_boundary(_directory: Path) -> Met:
    stage = standing()
    return stage.meets(lambda: opened(stage), lambda: stage.asked("boundary"))


@ROWS.unsafe(
    "The same, approved by somebody who is none of the authority",
    stops=Stop.GUARD,
    rule="boundary",
    way_out="One of the authority approves it, or denies it",
)
def approved_by_a_stranger(_directory: Path) -> Met:
    stage = standing()
    opened(stage)
    return stage.meets(stage.approving(by=KIM), lambda: stage.blocked("boundary"))


@ROWS.unsafe(
    "The same, approved by one of the authority, and an hour passes before it is performed",
    stops=Stop.GUARD,
    way_out="One of the authority approves it again",
)
def approval_across_a_boundary_expires(_directory: Path) -> Met:
    stage = standing()
    stage.world = replace(stage.world, runbooks=(runbook(PLACE),), boundaries=(RESTARTS,))
    opened(stage)
    stage.stop_at = (Prepare,)
    stage.approving(by=RAVI)()
    stage.now += timedelta(hours=1)
    stage.stop_at = ()
    return stage.meets(stage.run, lambda: stage.blocked("approval"))
