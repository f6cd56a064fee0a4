"""The facts of one run: what was put in, what the product tells, what others saw.

Rule: pure. Nothing is judged here; where a run had several faults, each gets the facts
that are about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from holdfast.kernel.clock import parse_at
from holdfast.sandbox.attempts import Attempt
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.effects import Effect
from holdfast.sandbox.scenario import (
    DISMISSED,
    ESCALATED,
    HELD,
    NONE,
    RESOLVED,
    Plan,
    Scenario,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident as the product tells it: `incident show`, `export` and `verify`."""

    shown: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]] = ()
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        return self.verdict.get("ok") is True

    @property
    def id(self) -> str:
        return str(self.shown["incident_id"])

    @property
    def opened_at(self) -> datetime:
        return parse_at(self.shown["opened_at"])

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.shown.get("services") or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """How Holdfast died, and how many effects the observers had seen by then."""

    exit_code: int
    effects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A further fault of the same run, and where it was put in."""

    scenario: Scenario
    injected_at: datetime
    entity: str
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one run is graded by. `trouble` is what the runner itself ran into.

    `played` is what came of the scenario's script, where it has one.
    """

    plan: Plan
    injected_at: datetime | None = None
    entity: str | None = None
    region: str | None = None
    incidents: tuple[Incident, ...] = ()
    effects: tuple[Effect, ...] = ()
    pages: int = 0
    bare_rule_fired: int = 0
    crash: Crash | None = None
    collected: bool = True
    trouble: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    also: tuple[Part, ...] = ()
    aftercare: Mapping[str, bool] | None = None
    played: Mapping[str, Any] | None = None

    @property
    def shape(self) -> Blueprint:
        return Blueprint.vary(self.plan.seed)


def split(facts: Facts) -> tuple[Facts, tuple[Facts, ...]]:
    """Part the facts by fault: what touches the service of a further one is about that one."""
    others = []
    for part in facts.also:
        mine = [each for each in facts.incidents if part.entity in each.services]
        seen = [effect for effect in facts.effects if effect.service == part.entity]
        plan = replace(facts.plan, scenario=part.scenario)
        others.append(
            Facts(
                plan=plan,
                injected_at=part.injected_at,
                entity=part.entity,
                region=part.region,
                incidents=tuple(mine),
                effects=tuple(seen),
                collected=facts.collected,
            )
        )
    taken = {each.id for other in others for each in other.incidents}
    entities = {part.entity for part in facts.also}
    rest = replace(
        facts,
        incidents=tuple(each for each in facts.incidents if each.id not in taken),
        effects=tuple(each for each in facts.effects if each.service not in entities),
    )
    return rest, tuple(others)


def main_incident(facts: Facts) -> Incident | None:
    """Choose the incident that the fault made: the first to open after it, or else the last."""
    ordered = sorted(facts.incidents, key=lambda each: each.opened_at)
    since = facts.injected_at
    after = [each for each in ordered if since is None or each.opened_at >= since]
    return after[0] if after else ordered[-1] if ordered else None


def outcome_of(incident: Incident | None, tried: Sequence[Attempt]) -> str:
    """Name how it ended. An incident that has not come to an end counts as `none`."""
    if incident is None:
        return NONE
    shown = incident.shown
    if shown["phase"] in {"resolved", "closed"}:
        return RESOLVED
    if shown["phase"] == "dismissed":
        return DISMISSED
    if shown["held"] and shown["escalated"]:
        return HELD if tried else ESCALATED
    return NONE
