"""What a row of the table of scenarios is made of.

Rule: data only. The player carries a row out, the operator does its moves, the
grader compares with it; none of them holds a case for one scenario.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
class Move:
    """What a person does, once the incident has had `count` records of kind `after`.

    `do` is `approve` or `direct`; `by` is a field of the blueprint that names the person, and the
    one on call where it is empty. Texts may name the blueprint's fields: `{api}`, `{flag}`.
    """

    do: str
    after: str
    because: str
    by: str = ""
    count: int = 1
    action: str = ""
    target: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    `ends` maps each accepted outcome to whether somebody has to be paged with it. `allowed` maps
    an action to how often it may be performed; `needed` actions must have been. An action may
    touch the broken service, or the one that `on` names for it (a field of the blueprint); those
    in `approved` only after a person said yes. An empty `incident_types` accepts any. `find_root`
    asks for the entity that the fault was put into. `also` are faults that are put in at the same
    time and have nothing to do with it: each is graded like a scenario of its own. A `patient` run
    goes on until one of `ends`, whatever comes before. `aftercare`: the platform's people have
    something to put right once it is over, and it is looked at whether they could. `window_s` is
    how long the declared rule needs to see the fault, its growth up to the limit and
    the time limits of what hangs included. `script` names the file below `scripts` that says who
    does what, line by line; `mode` is that of the installation. `free`: somebody's own script says
    what is done and how it
    ends, so neither is compared with the row.
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
    on: Mapping[str, str] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    moves: tuple[Move, ...] = ()
    script: str | None = None
    mode: str = "autonomous"
    free: bool = False
    also: tuple["Scenario", ...] = ()
    aftercare: bool = False
    patient: bool = False
    stop_traffic_at: str | None = None
    crash_points: tuple[str, ...] = ()
    bare_rule_fires: bool = False
    watch_s: float | None = None
    window_s: float | None = None
    limit_s: float = 90.0


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
