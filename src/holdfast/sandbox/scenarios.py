"""The scenarios as data: what breaks, what may be done about it, and how it may end.

Rule: a scenario is a row here and nothing else. The player carries it out and
the grader compares; neither holds a case for one of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.kernel import BadInputError
from holdfast.sandbox import faults, guided
from holdfast.sandbox.scenario import (
    CRASH_POINTS,
    DISMISSED,
    ESCALATED,
    HELD,
    NONE,
    RESOLVED,
    Move,
    Plan,
    Scenario,
)

# Ticks of a second that each way of opening needs: a target down, a composite, a declared limit.
_DOWN_S, _COMPOSITE_S, _LIMIT_S = 2.0, 3.0, 3.0
# What hangs is known after two scrapes at their limit of 0.8 s, and asked once more by a check.
_HANGS_S = _DOWN_S + 0.8 + 1.8
_LEASE_S = 8.0  # how long a dead worker keeps what it had in hand

_BAD_DEPLOY: Mapping[str, Any] = {
    "fault": faults.BAD_DEPLOY,
    "incident_types": frozenset({"high_error_rate"}),
    "allowed": {"rollback_deploy": 1},
    "window_s": _COMPOSITE_S,
}
_DOWN: Mapping[str, Any] = {
    "fault": faults.SERVICE_DOWN,
    "incident_types": frozenset({"service_down"}),
    "allowed": {"restart_service": 2},
    "needed": frozenset({"restart_service"}),
    "window_s": _DOWN_S,
}
_DISK_FULL = Scenario(
    name="disk-full",
    title="a forgotten export fills the temp directory that receipts are drafted in",
    fault=faults.DISK_FULL,
    incident_types=frozenset({"disk_full"}),
    allowed={"clear_cache": 1},
    needed=frozenset({"clear_cache"}),
    ends={RESOLVED: False},
    window_s=3.0 + _LIMIT_S,
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="bad-deploy",
        title="a release of the API that fails a third of its requests",
        needed=frozenset({"rollback_deploy"}),
        ends={RESOLVED: False},
        **_BAD_DEPLOY,
    ),
    Scenario(
        name="service-down",
        title="one process is killed and can't be started for some seconds",
        ends={RESOLVED: False},
        **_DOWN,
    ),
    Scenario(
        name="service-down-stays",
        title="one process is killed and can't be started any more",
        options={"down_for_s": None},
        ends={HELD: True},
        **_DOWN,
    ),
    Scenario(
        name="novel",
        title="a batch session locks the orders and does not let go; no runbook knows it",
        fault=faults.NOVEL,
        find_root=False,
        ends={ESCALATED: True},
    ),
    Scenario(
        name="healthy",
        title="nothing is wrong: heavy-tailed noise, the daily shape, a threefold surge",
        fault=faults.HEALTHY,
        find_root=False,
        ends={NONE: False, DISMISSED: False},
        bare_rule_fires=True,
        watch_s=60.0,
    ),
    Scenario(
        name="engine-crash",
        title="the bad release, and Holdfast is killed with SIGKILL in the middle of its step",
        ends={RESOLVED: False, HELD: True},
        crash_points=tuple(CRASH_POINTS),
        limit_s=150.0,
        **{**_BAD_DEPLOY, "window_s": _COMPOSITE_S + _LEASE_S},
    ),
    Scenario(
        name="traffic-stops",
        title="the bad release, and all traffic stops as soon as the step has been performed",
        needed=frozenset({"rollback_deploy"}),
        stop_traffic_at="step_finished",
        ends={HELD: True},
        limit_s=120.0,
        **_BAD_DEPLOY,
    ),
    Scenario(
        name="connection-leak",
        title="a reporting client holds nearly every pooled connection open, with locks",
        fault=faults.CONNECTION_LEAK,
        incident_types=frozenset({"connection_leak"}),
        allowed={"clear_cache": 1, "restart_service": 1},
        needed=frozenset({"restart_service"}),
        on={"clear_cache": "cache"},
        ends={RESOLVED: False},
        window_s=1.0 + _LIMIT_S,
    ),
    _DISK_FULL,
    Scenario(
        name="memory-leak",
        title="a client that stopped reading makes one API process keep what it can't send",
        fault=faults.MEMORY_LEAK,
        incident_types=frozenset({"memory_growth"}),
        allowed={"restart_service": 2},
        needed=frozenset({"restart_service"}),
        ends={RESOLVED: False},
        window_s=15.0,
        limit_s=120.0,
    ),
    Scenario(
        name="queue-backlog",
        title="a bulk import puts more jobs into one queue than its workers can do",
        fault=faults.QUEUE_BACKLOG,
        incident_types=frozenset({"queue_backlog"}),
        allowed={"scale_up": 1},
        needed=frozenset({"scale_up"}),
        ends={RESOLVED: False},
        window_s=10.0 + _LIMIT_S,
        limit_s=150.0,
    ),
    Scenario(
        name="queue-flood",
        title="an import so large that no number of workers helps: park it, if a person says so",
        fault=faults.QUEUE_FLOOD,
        incident_types=frozenset({"queue_backlog"}),
        allowed={"drain_queue": 1},
        needed=frozenset({"drain_queue"}),
        approved=frozenset({"drain_queue"}),
        moves=(
            Move(
                do="approve",
                after="approval_requested",
                because="the import can wait; its jobs are parked and can be put back",
            ),
        ),
        ends={RESOLVED: True},
        window_s=10.0 + _LIMIT_S,
        limit_s=150.0,
    ),
    Scenario(
        name="primary-down",
        title="the database's primary dies and does not come back",
        fault=faults.PRIMARY_DOWN,
        incident_types=frozenset({"service_down"}),
        allowed={"failover_db": 1},
        needed=frozenset({"failover_db"}),
        approved=frozenset({"failover_db"}),
        moves=(
            Move(
                do="approve",
                after="approval_requested",
                by="dba",
                because="the primary's host is gone and the standby has everything",
            ),
        ),
        ends={RESOLVED: True},
        aftercare=True,
        window_s=_DOWN_S,
        limit_s=120.0,
    ),
    Scenario(
        name="stale-flag",
        title="a bad cache invalidation and an old canary flag break the workers downstream",
        fault=faults.STALE_FLAG,
        incident_types=frozenset({"high_error_rate", "queue_backlog"}),
        allowed={"disable_flag": 1, "clear_cache": 1},
        needed=frozenset({"disable_flag", "clear_cache"}),
        on={"clear_cache": "cache"},
        approved=frozenset({"disable_flag", "clear_cache"}),
        moves=(
            Move(
                do="direct",
                after="held",
                action="disable_flag",
                target="{api}",
                params={"flag": "{flag}"},
                expect=('up{{service="{api}"}} == 1 for 3s in each region',),
                because="the flag was widened just before the workers began to fail",
            ),
            Move(
                do="direct",
                after="verification_recorded",
                action="clear_cache",
                target="{cache}",
                params={"prefix": "{basket_epoch}"},
                expect=(
                    'errors{{service="{worker}"}} <= baseline * 1.2 + 0.02 for 6s in each region',
                ),
                because="the API and the workers disagree on the epoch of the baskets",
            ),
        ),
        ends={RESOLVED: True},
        window_s=_COMPOSITE_S,
        limit_s=150.0,
    ),
    Scenario(
        name="regional",
        title="the API of one region hangs: its process is there and answers nothing",
        fault=faults.REGIONAL,
        incident_types=frozenset({"service_down"}),
        allowed={"restart_service": 2},
        needed=frozenset({"restart_service"}),
        ends={RESOLVED: False},
        window_s=_HANGS_S,
        limit_s=120.0,
    ),
    Scenario(
        name="two-at-once",
        title="the bad release, and at the same time the full temp directory of another service",
        needed=frozenset({"rollback_deploy"}),
        ends={RESOLVED: False},
        also=(_DISK_FULL,),
        limit_s=120.0,
        **_BAD_DEPLOY,
    ),
    Scenario(
        name="flapping",
        title="one process dies again some seconds after each start: it comes and goes",
        fault=faults.FLAPPING,
        incident_types=frozenset({"service_down"}),
        allowed={"restart_service": 2},
        needed=frozenset({"restart_service"}),
        ends={HELD: True},
        patient=True,
        limit_s=150.0,
    ),
    Scenario(
        name="bad-runbook",
        title="prices are broken in the database while a harmless release goes out",
        fault=faults.BAD_RUNBOOK,
        incident_types=frozenset({"high_error_rate"}),
        find_root=False,
        allowed={"rollback_deploy": 1},
        needed=frozenset({"rollback_deploy"}),
        on={"rollback_deploy": "api"},
        ends={HELD: True},
        limit_s=120.0,
    ),
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}


def choose(name: str) -> tuple[Plan, ...]:
    """Read `NAME` or `NAME:CRASH-POINT`: one plan, or one for each crash point.

    Raises BadInputError for a name that the table does not hold.
    """
    base, _, point = name.partition(":")
    scenario = BY_NAME.get(base) or guided.BY_NAME.get(base)
    if scenario is None:
        known = ", ".join((*BY_NAME, *guided.BY_NAME))
        raise BadInputError(f"there is no scenario {base!r}; choose one of {known}")
    if point and point not in scenario.crash_points:
        known = ", ".join(scenario.crash_points) or "none"
        raise BadInputError(
            f"scenario {base} has no crash point {point!r}; it has {known}; leave out ':{point}'"
        )
    points: Sequence[str | None] = (point,) if point else scenario.crash_points or (None,)
    return tuple(Plan(scenario=scenario, crash_point=each) for each in points)
