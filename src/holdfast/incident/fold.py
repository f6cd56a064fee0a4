"""Folds records into a State, one small function per kind.

The table at the end is the whole story. A kind that is not in it changes
nothing but the count of unknown kinds: a newer version wrote it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.incident import calls, commanding, endings
from holdfast.incident.lifecycle import (
    Phase,
    StepStatus,
    Trigger,
    next_phase,
    next_step_status,
)
from holdfast.incident.records import Kind, Record
from holdfast.incident.state import Plan, State, Step, changed, numbered
from holdfast.kernel.clock import format_at, parse_at


def fold(records: Iterable[Record], incident_id: str) -> State:
    """Fold all records of one incident."""
    state = State(incident_id=incident_id)
    for record in records:
        state = evolve(state, record)
    return state


def evolve(state: State, record: Record) -> State:
    """Fold one record. Raises IllegalTransitionError when it can't follow what came before."""
    handler = _HANDLERS.get(record.kind)
    if handler is None:
        return changed(state, seq=record.seq, unknown_kinds=state.unknown_kinds + 1)
    return numbered(commanding.heard(handler(state, record), record), record.seq, before=state)


def _opened(state: State, record: Record) -> State:
    data = record.data
    return changed(
        state,
        title=data["title"],
        severity=data["severity"],
        mode=data["mode"],
        services=tuple(data["services"]),
        regions=tuple(data["regions"]),
        opened_at=record.at,
        started_at=parse_at(data["started_at"]),
        opened_by=data["opened_by"],
        signals={signal["series"]: signal for signal in data["signals"]},
        baselines=data["baselines"],
        changes=tuple(data.get("changes", ())),
        follows=data.get("follows"),
        owner="holdfast",
    )


def _signal(state: State, record: Record) -> State:
    signal = record.data["signal"]
    baselines = {**record.data.get("baselines", {}), **state.baselines}
    return changed(state, signals={**state.signals, signal["series"]: signal}, baselines=baselines)


def _checks(state: State, record: Record) -> State:
    data = record.data
    phase = state.phase
    if data.get("purpose") == "diagnosis":
        phase = next_phase(phase, Trigger.CHECKS_STARTED)
    return changed(
        state,
        phase=phase,
        checks={**state.checks, **data["results"]},
        checks_seq=record.seq,
        symptom=data.get("symptom", state.symptom),
        looked=data.get("looked", data.get("symptom", state.looked)),
    )


def _classified(state: State, record: Record) -> State:
    return changed(
        state,
        incident_type=record.data["incident_type"],
        severity=record.data.get("severity", state.severity),
        title=record.data.get("title", state.title),
    )


def _ranked(state: State, record: Record) -> State:
    data = record.data
    return changed(
        state,
        hypotheses=tuple(data["hypotheses"]),
        evidence=tuple(data["evidence"]),
        missing_context=tuple(data["missing_context"]),
        diagnosis_seq=record.seq,
    )


def _planned(state: State, record: Record) -> State:
    data = record.data
    if data["runbook"] is None:
        return changed(state, plan_considered=data)
    plan = Plan(
        runbook=data["runbook"],
        version=data["version"],
        title=data["title"],
        mode=data["mode"],
        steps=tuple(data["steps"]),
        seq=record.seq,
    )
    phase = next_phase(state.phase, Trigger.PLAN_CHOSEN)
    return changed(state, phase=phase, plan=plan, plan_considered=data)


def _proposed(state: State, record: Record) -> State:
    data = record.data
    step = Step(
        step_id=data["step_id"],
        attempt=data["attempt"],
        action=data["action"],
        target=data["target"],
        params=data["params"],
        status=StepStatus.PROPOSED,
        impact=data["impact"],
        hash=data["hash"],
        plan_index=data.get("plan_index"),
        by=record.actor.as_data(),
        because=data.get("because"),
        criteria=tuple(data["criteria"]),
        timeout_s=data["timeout_s"],
        undo=data.get("undo"),
        proposed_seq=record.seq,
        proposed_at=record.at,
        cooldown_s=data.get("cooldown_s", 0.0),
        when=tuple(data.get("when", ())),
        variables=data.get("variables", {}),
        undo_of=data.get("undo_of"),
        seen=data.get("seen"),
    )
    kept = tuple(s for s in state.steps if s.step_id != step.step_id)
    return changed(state, steps=(*kept, step))


def _blocked(state: State, record: Record) -> State:
    return _step(state, record, StepStatus.BLOCKED, verdict=record.data["verdict"])


def _skipped(state: State, record: Record) -> State:
    return _step(state, record, StepStatus.SKIPPED)


def _approval_requested(state: State, record: Record) -> State:
    return _step(
        state,
        record,
        StepStatus.AWAITING_APPROVAL,
        verdict=record.data["verdict"],
        approval_expires_at=parse_at(record.data["expires_at"]),
    )


def _approval_granted(state: State, record: Record) -> State:
    approval = {
        "by": record.actor.id,
        "kind": record.actor.kind.value,
        "hash": record.data["hash"],
        "because": record.data["because"],
        "seq": record.seq,
        "at": format_at(record.at),
    }
    return _change_step(state, record.data["step_id"], approval=approval)


def _approval_ended(state: State, record: Record) -> State:
    return _step(state, record, StepStatus.BLOCKED, verdict=record.data["verdict"])


def _intended(state: State, record: Record) -> State:
    data = record.data
    after = _step(
        state,
        record,
        StepStatus.INTENDED,
        attempt=data["attempt"],
        idempotency_key=data["idempotency_key"],
        fence=data["fence"],
        pre_image=data["pre_image"],
        intended_at=record.at,
        verdict=data["verdict"],
        intended_seq=record.seq,
    )
    return changed(
        after,
        phase=next_phase(state.phase, Trigger.STEP_INTENDED),
        overrides_used=(*state.overrides_used, *data.get("override_ids", ())),
    )


def _finished(state: State, record: Record) -> State:
    return _outcome(state, record, record.data["outcome"])


def _in_doubt(state: State, record: Record) -> State:
    step = state.step(record.data["step_id"])
    doubts = (step.doubts if step else 0) + 1
    if step is not None and step.status is StepStatus.IN_DOUBT:
        return _change_step(state, step.step_id, doubts=doubts, doubted_at=record.at)
    return _step(state, record, StepStatus.IN_DOUBT, doubts=doubts, doubted_at=record.at)


def _repeated(state: State, record: Record) -> State:
    """The attempt is performed once more with its own key; until it answers it is in doubt."""
    step = state.step(record.data["step_id"])
    if step is None:
        return state
    # The token that the target saw last: the next repeat needs a newer one.
    fence = record.data.get("fence", step.fence)
    return _change_step(state, step.step_id, repeats=step.repeats + 1, fence=fence)


def _settled(state: State, record: Record) -> State:
    outcome = "succeeded" if record.data["happened"] else "failed"
    return _outcome(state, record, outcome)


def _outcome(state: State, record: Record, outcome: str) -> State:
    status = StepStatus.SUCCEEDED if outcome == "succeeded" else StepStatus.FAILED
    trigger = Trigger.STEP_SETTLED if outcome == "succeeded" else Trigger.STEP_FAILED
    ended_at = parse_at(record.data["ended_at"]) if "ended_at" in record.data else record.at
    phase = next_phase(state.phase, trigger)
    after = _step(state, record, status, phase=phase, outcome=record.data, ended_at=ended_at)
    return _reversed(after, record) if status is StepStatus.SUCCEEDED else after


def _reversed(state: State, record: Record) -> State:
    """An undo that worked reverses the step that it undid."""
    undo = state.step(record.data["step_id"])
    undone = state.step(undo.undo_of) if undo and undo.undo_of else None
    if undone is None or undone.status is StepStatus.REVERSED:
        return state
    next_step_status(undone.status, StepStatus.REVERSED)
    return _change_step(state, undone.step_id, status=StepStatus.REVERSED)


def _verified(state: State, record: Record) -> State:
    data = record.data
    met = data["status"] == "met"
    status = StepStatus.VERIFIED if met else StepStatus.UNVERIFIED
    more = met and data.get("more_to_do")
    phase = next_phase(state.phase, Trigger.MORE_TO_DO) if more else state.phase
    return _step(
        state, record, status, phase=phase, verification={**data, "at": format_at(record.at)}
    )


def _held(state: State, record: Record) -> State:
    held = {
        "why": record.data["why"],
        "since": format_at(record.at),
        "seq": record.seq,
        "by": record.actor.as_data(),
    }
    after = changed(state, held=held)
    if not record.data.get("planes"):
        return after
    # A hold on a step in doubt tells how its control planes were found.
    return _change_step(after, record.data["step_id"], planes=tuple(record.data["planes"]))


def _unchanged(state: State, _record: Record) -> State:
    return state


def _step(
    state: State,
    record: Record,
    status: StepStatus,
    *,
    phase: Phase | None = None,
    **changes: Any,  # noqa: ANN401 - fields of any type
) -> State:
    """Move a step to `status`, and the incident to `phase` where one is given."""
    step_id = record.data["step_id"]
    step = state.step(step_id)
    phase = phase or state.phase
    if step is None:
        return changed(state, phase=phase)
    if status is not step.status:
        next_step_status(step.status, status)
    if record.data.get("planes"):
        changes["planes"] = tuple(record.data["planes"])
    steps = _replaced(state, step, changed(step, status=status, **changes))
    return changed(state, steps=steps, phase=phase)


def _change_step(state: State, step_id: str, **changes: Any) -> State:  # noqa: ANN401
    step = state.step(step_id)
    if step is None:
        return state
    return changed(state, steps=_replaced(state, step, changed(step, **changes)))


def _replaced(state: State, before: Step, after: Step) -> tuple[Step, ...]:
    return tuple([after if step is before else step for step in state.steps])


_HANDLERS: Mapping[str, Callable[[State, Record], State]] = {
    Kind.INCIDENT_OPENED: _opened,
    Kind.SIGNAL_ATTACHED: _signal,
    Kind.CHECKS_RECORDED: _checks,
    Kind.CLASSIFIED: _classified,
    Kind.HYPOTHESES_RANKED: _ranked,
    Kind.PLAN_CHOSEN: _planned,
    Kind.CHARTER_SET: commanding.charter_set,
    Kind.STEP_SUGGESTED: commanding.suggested,
    Kind.DIRECTIVE_RECEIVED: commanding.directed,
    Kind.STEP_PROPOSED: _proposed,
    Kind.STEP_BLOCKED: _blocked,
    Kind.STEP_SKIPPED: _skipped,
    Kind.APPROVAL_REQUESTED: _approval_requested,
    Kind.APPROVAL_GRANTED: _approval_granted,
    Kind.APPROVAL_DENIED: _approval_ended,
    Kind.APPROVAL_EXPIRED: _approval_ended,
    Kind.STEP_INTENDED: _intended,
    Kind.STEP_FINISHED: _finished,
    Kind.STEP_IN_DOUBT: _in_doubt,
    Kind.STEP_REPEATED: _repeated,
    Kind.STEP_RECONCILED: _finished,
    Kind.STEP_SETTLED: _settled,
    Kind.LATE_REPORT: _unchanged,
    Kind.MANUAL_ACTION_REPORTED: commanding.manual_action,
    Kind.CONTROL_PLANES_OBSERVED: commanding.planes_observed,
    Kind.VERIFICATION_RECORDED: _verified,
    Kind.HELD: _held,
    Kind.RESUMED: calls.resumed,
    Kind.TAKEOVER_PACKET_ISSUED: commanding.packet_issued,
    Kind.TAKEOVER_ACCEPTED: commanding.takeover_accepted,
    Kind.TAKEOVER_REFUSED: commanding.takeover_ended,
    Kind.TAKEOVER_RECALLED: commanding.takeover_ended,
    Kind.ESCALATED: calls.escalated,
    Kind.PAGED: calls.paged,
    Kind.ACKNOWLEDGED: calls.acknowledged,
    Kind.NOTE: calls.note,
    Kind.LABELLED: calls.labelled,
    Kind.MERGED: endings.merged,
    Kind.DISMISSED: endings.dismissed,
    Kind.RESOLVED: endings.resolved,
    Kind.REOPENED: endings.reopened,
    Kind.CLOSED: endings.closed,
}
