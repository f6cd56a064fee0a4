"""From the facts of one run to its document, whether it passed, and every reason why not.

Rule: pure. What Holdfast says of itself (incidents, exported records) is compared
with what was put in (the fault) and with what others saw (observers at the targets,
the pager). `held` means that it stopped on uncertainty after it had set out to act;
`escalated` that it handed over to a person without acting at all.
"""

from typing import Any

from holdfast.kernel.clock import parse_at
from holdfast.sandbox import guided_grade
from holdfast.sandbox.attempts import attempts
from holdfast.sandbox.effects import Effect, duplicates
from holdfast.sandbox.facts import Facts, Incident, main_incident, outcome_of, split
from holdfast.sandbox.objections import could_have_acted, false_actions, objections
from holdfast.sandbox.recovery_time import parts


def grade(facts: Facts) -> dict[str, Any]:
    """Make the document of one run; what further faults led to is in `also`."""
    own, others = split(facts)
    document = _graded(own)
    if not others:
        return document
    also = [_graded(other) for other in others]
    why_not = [*document["why_not"], *(f"{d['scenario']}: {w}" for d in also for w in d["why_not"])]
    return {
        **document,
        "also": also,
        "actions": [*document["actions"], *(a for d in also for a in d["actions"])],
        "duplicate_effects": sum(d["duplicate_effects"] for d in (document, *also)),
        "false_actions": sum(d["false_actions"] for d in (document, *also)),
        "ledger_verified": all(d["ledger_verified"] for d in (document, *also)),
        "passed": not why_not,
        "why_not": why_not,
    }


def _graded(facts: Facts) -> dict[str, Any]:
    incident = main_incident(facts)
    tried = attempts(incident.records) if incident else ()
    performed = [attempt for attempt in tried if attempt.performed]
    document: dict[str, Any] = {
        "scenario": facts.plan.scenario.name,
        "crash_point": facts.plan.crash_point,
        "seed": facts.plan.seed,
        "run": facts.plan.run,
        "incident_id": incident.id if incident else None,
        "outcome": outcome_of(incident, tried),
        "incident_type": incident.shown["incident_type"] if incident else None,
        "root_cause_entity": incident.shown["root_entity"] if incident else None,
        "actions": [attempt.action for attempt in performed],
        "detected_s": _since(facts, incident.shown["opened_at"] if incident else None),
        "recovered_s": _since(facts, _resolved_at(incident)),
        "recovery": _recovery(facts, incident),
        "duplicate_effects": duplicates(facts.effects, could_have_acted(facts, tried)),
        "false_actions": len(list(false_actions(facts, performed))),
        "pages": facts.pages,
        "ledger_verified": facts.collected and all(each.verified for each in facts.incidents),
        "ledger": dict(incident.verdict) if incident else None,
        "bare_rule_fired": facts.bare_rule_fired,
        "steps": [attempt.as_data() for attempt in tried],
        "effects": [_effect(effect) for effect in facts.effects],
        "timings": {name: round(value, 2) for name, value in facts.timings.items()},
    }
    if facts.aftercare is not None:
        document["aftercare"] = dict(facts.aftercare)
    why_not = [*facts.trouble, *objections(facts, document, incident, tried)]
    if facts.played is not None:
        document["guided"] = guided_grade.figures(facts, incident, document["outcome"])
        document["script"] = dict(facts.played)
        if facts.collected and not facts.plan.scenario.free:
            why_not += guided_grade.objections(document["guided"])
    return {**document, "passed": not why_not, "why_not": why_not}


def _recovery(facts: Facts, incident: Incident | None) -> dict[str, float | None] | None:
    resolved_at = _resolved_at(incident)
    if incident is None or resolved_at is None or facts.injected_at is None:
        return None
    return parts(
        incident.records,
        injected_at=facts.injected_at,
        resolved_at=parse_at(resolved_at),
        window_s=facts.plan.scenario.window_s,
    )


def _since(facts: Facts, at: str | None) -> float | None:
    if at is None or facts.injected_at is None:
        return None
    return round((parse_at(at) - facts.injected_at).total_seconds(), 2)


def _resolved_at(incident: Incident | None) -> str | None:
    return incident.shown.get("resolved_at") if incident else None


def _effect(effect: Effect) -> dict[str, str]:
    return {"kind": effect.kind, "target": effect.target, "detail": effect.detail}
