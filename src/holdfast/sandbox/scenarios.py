"""The scenarios as data: what breaks, what may be done about it, and how it may end.

Rule: a scenario is a row here and nothing else. The player carries it out and
the grader compares; neither holds a case for one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.kernel import BadInputError
from holdfast.sandbox import faults

RESOLVED = "resolved"
HELD = "held"
ESCALATED = "escalated"
DISMISSED = "dismissed"
NONE = "none"
OUTCOMES = (RESOLVED, HELD, ESCALATED, DISMISSED, NONE)

# How many effects the observers must have seen when Holdfast dies at each of its crash points.
CRASH_POINTS: Mapping[str, int] = {
    "before_intent": 0,
    "after_intent": 0,
    "after_effect": 1,
    "after_outcome": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    `ends` maps each accepted outcome to whether somebody has to be paged with it. `allowed` maps
    an action to how often it may be performed; `needed` actions must have been. An empty
    `incident_types` accepts any. `find_root` asks for the entity that the fault was put into.
    """

    name: str
    title: str
    fault: str
    ends: Mapping[str, bool]
    options: Mapping[str, Any] = field(default_factory=dict)
    incident_types: frozenset[str] = frozenset()
    find_root: bool = True
    allowed: Mapping[str, int] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    stop_traffic_at: str | None = None
    crash_points: tuple[str, ...] = ()
    bare_rule_fires: bool = False
    watch_s: float | None = None
    limit_s: float = 90.0


_BAD_DEPLOY: Mapping[str, Any] = {
    "fault": faults.BAD_DEPLOY,
    "incident_types": frozenset({"high_error_rate"}),
    "allowed": {"rollback_deploy": 1},
}
_DOWN: Mapping[str, Any] = {
    "fault": faults.SERVICE_DOWN,
    "incident_types": frozenset({"service_down"}),
    "allowed": {"restart_service": 2},
    "needed": frozenset({"restart_service"}),
}

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
        **_BAD_DEPLOY,
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
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run of one scenario."""

    scenario: Scenario
    seed: int = 0
    run: int = 1
    crash_point: str | None = None

    @property
    def name(self) -> str:
        """Say which run of what this is, as `choose` reads it."""
        at = f":{self.crash_point}" if self.crash_point else ""
        return f"{self.scenario.name}{at}"


def choose(name: str) -> tuple[Plan, ...]:
    """Read `NAME` or `NAME:CRASH-POINT`: one plan, or one for each crash point.

    Raises BadInputError for a name that the table does not hold.
    """
    base, _, point = name.partition(":")
    scenario = BY_NAME.get(base)
    if scenario is None:
        raise BadInputError(f"there is no scenario {base!r}; choose one of {', '.join(BY_NAME)}")
    if point and point not in scenario.crash_points:
        known = ", ".join(scenario.crash_points) or "none"
        raise BadInputError(
            f"scenario {base} has no crash point {point!r}; it has {known}; leave out ':{point}'"
        )
    points: Sequence[str | None] = (point,) if point else scenario.crash_points or (None,)
    return tuple(Plan(scenario=scenario, crash_point=each) for each in points)
