"""From the facts of one run to its document, whether it passed, and every reason why not.

Rule: pure. What Holdfast says of itself (incidents, exported records) is compared
with what was put in (the fault) and with what others saw (observers at the targets,
the pager). `held` means that it stopped on uncertainty after it had set out to act;
`escalated` that it handed over to a person without acting at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.kernel.clock import parse_at
from holdfast.sandbox.observers import PROCESS_STARTED, RELEASE_SWITCHED, Effect, duplicates
from holdfast.sandbox.scenarios import (
    CRASH_POINTS,
    DISMISSED,
    ESCALATED,
    HELD,
    NONE,
    RESOLVED,
    Plan,
)

KILLED = -9
# Which effect at a target an action shows as.
EFFECT_OF: Mapping[str, str] = {
    "rollback_deploy": RELEASE_SWITCHED,
    "restart_service": PROCESS_STARTED,
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """How Holdfast died, and how many effects the observers had seen by then."""

    exit_code: int
    effects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one run is graded by. `trouble` is what the runner itself ran into."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One intended attempt of a step. `effect` as recorded: present, absent, or unknown."""

    step_id: str
    attempt: int
    action: str
    target: str
    outcome: str = "in_doubt"
    effect: str = "unknown"

    @property
    def performed(self) -> bool:
        return self.outcome != "in_doubt" and self.effect != "absent"

    def as_data(self) -> dict[str, Any]:
        return {
            "step_id": self.step_id,
            "attempt": self.attempt,
            "action": self.action,
            "target": self.target,
            "outcome": self.outcome,
            "effect": self.effect,
        }


def grade(facts: Facts) -> dict[str, Any]:
    """Make the document of one run."""
    incident = main_incident(facts)
    tried = attempts(incident.records) if incident else ()
    performed = [attempt for attempt in tried if attempt.performed]
    outcome = outcome_of(incident, tried)
    document: dict[str, Any] = {
        "scenario": facts.plan.scenario.name,
        "crash_point": facts.plan.crash_point,
        "seed": facts.plan.seed,
        "run": facts.plan.run,
        "incident_id": incident.id if incident else None,
        "outcome": outcome,
        "incident_type": incident.shown["incident_type"] if incident else None,
        "root_cause_entity": incident.shown["root_entity"] if incident else None,
        "actions": [attempt.action for attempt in performed],
        "detected_s": _since(facts, incident.shown["opened_at"] if incident else None),
        "recovered_s": _since(facts, _resolved_at(incident)),
        "duplicate_effects": duplicates(facts.effects, _could_have_acted(tried)),
        "false_actions": len(list(_false_actions(facts, performed))),
        "pages": facts.pages,
        "ledger_verified": facts.collected and all(each.verified for each in facts.incidents),
        "ledger": dict(incident.verdict) if incident else None,
        "bare_rule_fired": facts.bare_rule_fired,
        "steps": [attempt.as_data() for attempt in tried],
        "effects": [_effect(effect) for effect in facts.effects],
        "timings": {name: round(value, 2) for name, value in facts.timings.items()},
    }
    why_not = [*facts.trouble, *_objections(facts, document, incident, tried)]
    return {**document, "passed": not why_not, "why_not": why_not}


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


def attempts(records: Sequence[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    """List the intended attempts in the order of their intents, each with what became of it."""
    found: dict[tuple[str, int], Attempt] = {}
    latest: dict[str, int] = {}
    for record in records:
        data = record["data"]
        match record["kind"]:
            case "step_intended":
                latest[data["step_id"]] = data["attempt"]
                found[data["step_id"], data["attempt"]] = _intended(data)
            case "step_finished" | "step_reconciled" | "step_settled":
                key = (data["step_id"], data.get("attempt") or latest.get(data["step_id"], 1))
                if key in found:
                    found[key] = _ended(found[key], data)
            case _:
                continue
    return tuple(found.values())


def _intended(data: Mapping[str, Any]) -> Attempt:
    return Attempt(
        step_id=data["step_id"],
        attempt=data["attempt"],
        action=data["action"],
        target=data["target"],
    )


def _ended(attempt: Attempt, data: Mapping[str, Any]) -> Attempt:
    if "happened" in data:
        outcome, effect = ("succeeded", "present") if data["happened"] else ("failed", "absent")
    else:
        outcome = data["outcome"]
        effect = data.get("effect") or ("present" if outcome == "succeeded" else "unknown")
    return Attempt(
        step_id=attempt.step_id,
        attempt=attempt.attempt,
        action=attempt.action,
        target=attempt.target,
        outcome=outcome,
        effect=effect,
    )


def _could_have_acted(tried: Sequence[Attempt]) -> Counter[tuple[str, str]]:
    """Count, by effect and target, the attempts that are not proven to have had no effect."""
    return Counter(
        (EFFECT_OF[attempt.action], attempt.target)
        for attempt in tried
        if attempt.effect != "absent" and attempt.action in EFFECT_OF
    )


def _false_actions(facts: Facts, performed: Sequence[Attempt]) -> Iterator[Attempt]:
    """Yield what was performed beyond the list, too often, or on something that was not broken."""
    left = dict(facts.plan.scenario.allowed)
    for attempt in performed:
        service = attempt.target.partition("@")[0]
        wrong_target = facts.entity is not None and service != facts.entity
        if left.get(attempt.action, 0) < 1 or wrong_target:
            yield attempt
        else:
            left[attempt.action] -= 1


def _objections(
    facts: Facts,
    document: Mapping[str, Any],
    incident: Incident | None,
    tried: Sequence[Attempt],
) -> Iterator[str]:
    if not facts.collected:  # all else would only follow from that
        if not facts.trouble:
            yield "nothing of the run was collected"
        return
    yield from _about_the_end(facts, document, incident)
    yield from _about_the_cause(facts, document, incident)
    yield from _about_effects(facts, document, tried)
    yield from _about_the_crash(facts)
    if not document["ledger_verified"]:
        yield "the ledger's chain did not verify"
    if facts.plan.scenario.bare_rule_fires and facts.bare_rule_fired < 1:
        yield "the bare rule did not fire once, so the run proves nothing about it"


def _about_the_end(
    facts: Facts, document: Mapping[str, Any], incident: Incident | None
) -> Iterator[str]:
    scenario, outcome = facts.plan.scenario, document["outcome"]
    if outcome not in scenario.ends:
        yield f"ended as {outcome!r}; {scenario.name} may end as {' or '.join(scenario.ends)}"
    elif scenario.ends[outcome] and facts.pages < 1:
        yield f"ended as {outcome!r} and nobody was paged"
    elif not scenario.ends[outcome] and facts.pages > 0:
        yield f"{facts.pages} pages, where nobody has to be woken"
    if incident is not None and outcome == NONE:
        shown = incident.shown
        state = f"phase {shown['phase']}, held: {bool(shown['held'])}"
        yield f"{incident.id} has not come to an end ({state})"
    yield from _about_the_number(facts)


def _about_the_number(facts: Facts) -> Iterator[str]:
    """One fault is one incident. Where nothing is wrong, none may be left but dismissed ones."""
    since = facts.injected_at
    if facts.plan.scenario.watch_s is not None:
        live = [each.id for each in facts.incidents if each.shown["phase"] != "dismissed"]
        if live:
            yield f"nothing was wrong, and {', '.join(live)} was not dismissed"
        return
    after = [each for each in facts.incidents if since is None or each.opened_at >= since]
    if len(after) > 1:
        yield f"one fault made {len(after)} incidents: {', '.join(each.id for each in after)}"
    if since is not None and len(after) < len(facts.incidents):
        early = [e for e in facts.incidents if e not in after and e.shown["phase"] != "dismissed"]
        if early:
            yield f"{', '.join(e.id for e in early)} opened before anything was broken"


def _about_the_cause(
    facts: Facts, document: Mapping[str, Any], incident: Incident | None
) -> Iterator[str]:
    scenario = facts.plan.scenario
    if incident is None:
        return
    kind, root = document["incident_type"], document["root_cause_entity"]
    if scenario.incident_types and kind not in scenario.incident_types:
        wanted = " or ".join(sorted(scenario.incident_types))
        yield f"the incident type is {kind}, not {wanted}"
    if scenario.find_root and root != facts.entity:
        yield f"the root entity is {root}, not {facts.entity}"
    if document["detected_s"] is not None and document["detected_s"] < 0:
        yield f"{incident.id} opened {-document['detected_s']:.1f} s before the fault"


def _about_effects(
    facts: Facts, document: Mapping[str, Any], tried: Sequence[Attempt]
) -> Iterator[str]:
    if document["duplicate_effects"]:
        told = ", ".join(f"{e.kind} on {e.target}" for e in facts.effects)
        yield f"{document['duplicate_effects']} effects beyond the ledger's attempts ({told})"
    performed = [attempt for attempt in tried if attempt.performed]
    for attempt in _false_actions(facts, performed):
        yield f"{attempt.action} on {attempt.target} was performed and is not allowed here"
    missing = facts.plan.scenario.needed - {attempt.action for attempt in performed}
    if missing:
        yield f"{', '.join(sorted(missing))} was not performed"
    elif facts.plan.scenario.allowed and document["outcome"] == RESOLVED and not performed:
        yield "resolved, and nothing was performed that could have resolved it"
    seen_at = Counter((effect.kind, effect.target) for effect in facts.effects)
    claimed = Counter(
        (EFFECT_OF[a.action], a.target)
        for a in performed
        if a.outcome == "succeeded" and a.action in EFFECT_OF
    )
    for (kind, target), count in claimed.items():
        seen = seen_at[kind, target]
        if seen < count:
            yield f"the ledger claims {count} times {kind} on {target}; the observers saw {seen}"


def _about_the_crash(facts: Facts) -> Iterator[str]:
    point, crash = facts.plan.crash_point, facts.crash
    if point is None:
        return
    if crash is None:
        yield f"crash point {point} was never reached"
        return
    if crash.exit_code != KILLED:
        yield f"at {point} Holdfast ended with exit code {crash.exit_code}, not by SIGKILL"
    due = CRASH_POINTS[point]
    if crash.effects != due:
        yield f"at {point} the observers had seen {crash.effects} effects, not {due}"


def _since(facts: Facts, at: str | None) -> float | None:
    if at is None or facts.injected_at is None:
        return None
    return round((parse_at(at) - facts.injected_at).total_seconds(), 2)


def _resolved_at(incident: Incident | None) -> str | None:
    return incident.shown.get("resolved_at") if incident else None


def _effect(effect: Effect) -> dict[str, str]:
    return {"kind": effect.kind, "target": effect.target, "detail": effect.detail}
