"""What surfaces show of an incident, and the five keys: all derived from the State.

Plain JSON data in, plain JSON data out. A surface never computes anything of
its own from records.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from holdfast.incident.lifecycle import StepStatus
from holdfast.incident.records import Record
from holdfast.incident.standing import STANDING, planes_of
from holdfast.incident.state import State, Step
from holdfast.incident.timeline import line
from holdfast.kernel.clock import format_at

_DONE = frozenset({StepStatus.VERIFIED, StepStatus.SKIPPED})


def _at(at: datetime | None) -> str | None:
    return format_at(at) if at else None


def summary(state: State, head: bytes) -> dict[str, Any]:
    """The short form: one incident in a list."""
    root = state.root
    return {
        "incident_id": state.incident_id,
        "title": state.title,
        "phase": str(state.phase),
        "held": dict(state.held) if state.held else None,
        "escalated": dict(state.escalated) if state.escalated else None,
        "acknowledged": dict(state.acknowledged) if state.acknowledged else None,
        "waiting_for": list(state.waiting_for),
        "incident_type": state.incident_type,
        "severity": state.severity,
        "mode": state.mode,
        "owner": state.owner,
        "services": list(state.services),
        "regions": list(state.regions),
        "root_entity": root["entity"] if root else None,
        "opened_at": _at(state.opened_at),
        "started_at": _at(state.started_at),
        "resolved_at": _at(state.resolved_at),
        "ending": state.ending,
        "reopened": len(state.reopenings),
        "follows": dict(state.follows) if state.follows else None,
        "label": dict(state.label) if state.label else None,
        "pages": state.pages,
        "signals": len(state.signals),
        "seq": state.seq,
        "head_hash": head.hex(),
    }


def full(state: State, head: bytes, records: Sequence[Record]) -> dict[str, Any]:
    """The long form: everything that a person or a packet needs."""
    return {
        **summary(state, head),
        "signal_list": [dict(signal) for signal in state.signals.values()],
        "baselines": {name: dict(facts) for name, facts in state.baselines.items()},
        "checks": {name: dict(result) for name, result in state.checks.items()},
        "symptom": dict(state.symptom) if state.symptom else None,
        "hypotheses": [dict(hypothesis) for hypothesis in state.hypotheses],
        "evidence": [dict(piece) for piece in state.evidence],
        "missing_context": list(state.missing_context),
        "plan": _plan(state),
        "steps": [step_view(step) for step in state.steps],
        "notes": [dict(note) for note in state.notes],
        "paged": [dict(page) for page in state.paged],
        **_command(state),
        "runbooks": _runbooks(state),
        "limits_used": limits_used(state),
        "timeline": timeline(records),
    }


def _command(state: State) -> dict[str, Any]:
    """Who commands, what they said, and what people and their tools did beside."""
    return {
        "commander": state.commander,
        "commander_seen_at": _at(state.commander_seen_at),
        "asks_for_takeover": state.asks_for_takeover,
        "charter": dict(state.charter) if state.charter else None,
        "handoff": dict(state.handoff) if state.handoff else None,
        "directive": dict(state.directive) if state.directive else None,
        "manual": [dict(each) for each in state.manual],
        "suggestions": [dict(each) for each in state.suggestions],
        "planes": {target: dict(found) for target, found in state.planes.items()},
    }


def timeline(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Every record as one line."""
    return [
        {
            "seq": record.seq,
            "at": format_at(record.at),
            "kind": record.kind,
            "actor": record.actor.id,
            "cause": record.cause,
            "text": line(record),
        }
        for record in records
    ]


def step_view(step: Step) -> dict[str, Any]:
    """One step with everything that was decided about it."""
    return {
        "step_id": step.step_id,
        "action": step.action,
        "target": step.target,
        "params": dict(step.params),
        "attempt": step.attempt,
        "status": str(step.status),
        "standing": STANDING[step.status],
        "impact": step.impact,
        "hash": step.hash,
        "by": dict(step.by),
        "because": step.because,
        "criteria": list(step.criteria),
        "undo": step.undo,
        "undo_of": step.undo_of,
        "cooldown_s": step.cooldown_s,
        "planes": [dict(plane) for plane in planes_of(step)],
        "started_at": step.outcome.get("started_at") or _at(step.intended_at),
        "ended_at": _at(step.ended_at),
        "idempotency_key": step.idempotency_key,
        "fence": step.fence,
        "pre_image": dict(step.pre_image),
        "outcome": dict(step.outcome) or None,
        "verification": dict(step.verification) or None,
        "verdict": dict(step.verdict) or None,
        "approval": dict(step.approval) if step.approval else None,
        "approval_expires_at": _at(step.approval_expires_at),
    }


def _plan(state: State) -> dict[str, Any] | None:
    if state.plan is None:
        return None
    return {
        "runbook": state.plan.runbook,
        "version": state.plan.version,
        "title": state.plan.title,
        "mode": state.plan.mode,
        "steps": [dict(step) for step in state.plan.steps],
    }


def _runbooks(state: State) -> list[dict[str, Any]]:
    """Runbooks that were found but not followed, with why not."""
    considered = state.plan_considered
    found = [
        {"runbook": miss["runbook"], "why_not": miss["why_not"]}
        for miss in considered.get("near_misses", ())
    ]
    if considered.get("read") and considered.get("runbook") is None:
        found.insert(0, {"runbook": considered["read"], "why_not": ["it has no executable step"]})
    return found


def limits_used(state: State) -> dict[str, int]:
    """Count the attempts that were intended, by action and target.

    An attempt number rises only after an outcome, so all attempts before this one were intended.
    """
    used: dict[str, int] = {}
    for step in state.steps:
        intended = step.attempt if step.intended_at is not None else step.attempt - 1
        if intended:
            key = f"{step.action} on {step.target}"
            used[key] = used.get(key, 0) + intended
    return used


def checkpoint(state: State, head: bytes) -> dict[str, Any]:
    """What a cold process needs to go on at once."""
    last = state.last_step
    return {
        "incident_id": state.incident_id,
        "seq": state.seq,
        "head_hash": head.hex(),
        "phase": str(state.phase),
        "held": dict(state.held) if state.held else None,
        "waiting_for": list(state.waiting_for),
        "mode": state.mode,
        "owner": state.owner,
        "runbook": state.plan.runbook if state.plan else None,
        "next_step": _next_step(state),
        "last_step": _brief(last) if last else None,
        "in_doubt": [step.step_id for step in state.steps if step.status is StepStatus.IN_DOUBT],
        "criteria": list(last.criteria) if last else [],
        "limits_used": limits_used(state),
    }


def _brief(step: Step) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "action": step.action,
        "target": step.target,
        "attempt": step.attempt,
        "status": str(step.status),
        "idempotency_key": step.idempotency_key,
    }


def _next_step(state: State) -> dict[str, Any] | None:
    if state.plan is None or state.ended:
        return None
    done = [step.plan_index for step in state.steps_of_plan if step.status in _DONE]
    for index, planned in enumerate(state.plan.steps):
        if index not in done:
            return {"index": index, "action": planned["action"], "target": planned["target"]}
    return None


def projections(state: State, head: bytes) -> dict[str, Any]:
    """The keys that are written with every append; the timeline is read from the records."""
    prefix = f"incident:{state.incident_id}"
    return {
        f"{prefix}:status": summary(state, head),
        f"{prefix}:steps": {
            "incident_id": state.incident_id,
            "seq": state.seq,
            "steps": [step_view(step) for step in state.steps],
        },
        f"{prefix}:checkpoint": checkpoint(state, head),
        f"{prefix}:owner": owner_key(state),
    }


def owner_key(state: State) -> dict[str, Any]:
    """Say who has the incident in hand, who commands it and to whom it is being handed."""
    return {
        "incident_id": state.incident_id,
        "seq": state.seq,
        "owner": state.owner,
        "commander": state.commander,
        "handed_to": state.handoff["to"] if state.handoff else None,
        "acknowledged": dict(state.acknowledged) if state.acknowledged else None,
    }
