"""Hold and hand over: the answer to every doubt.

A hold always comes with an escalation, so that nothing waits for somebody who
was never told. Whoever acknowledged an earlier escalation has not heard of this
one, so it is escalated anew.
"""

from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, State, Step, StepStatus
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.reason import Reason

OPEN_STEP = frozenset({StepStatus.PROPOSED, StepStatus.AWAITING_APPROVAL})


def hold_and_escalate(
    state: State, why: str, now: datetime, *, facts: dict[str, Any] | None = None
) -> tuple[Draft, ...]:
    """Hold the incident and tell the first level, both with the same reason."""
    drafts: list[Draft] = []
    if not state.held:
        drafts.append(Draft(kind=Kind.HELD, data={"why": why, **(facts or {})}))
    return (*drafts, *escalate(state, why, now))


def escalate(state: State, why: str, now: datetime) -> tuple[Draft, ...]:
    """Call the first level, unless a call on this incident is still unanswered."""
    if state.escalated and not state.acknowledged:
        return ()
    data = {"level": 1, "why": why, "since": now.isoformat()}
    return (Draft(kind=Kind.ESCALATED, data=data),)


def held_by_person(state: State) -> bool:
    """Say whether somebody, not Holdfast itself, holds this incident."""
    by = (state.held or {}).get("by", {})
    return bool(by.get("kind", ActorKind.SYSTEM.value) != ActorKind.SYSTEM.value)


def open_step(state: State) -> Step | None:
    """Find the step that is proposed or waits for an approval; None where there is none."""
    return next((step for step in state.steps if step.status in OPEN_STEP), None)


def close_open_step(state: State, why: str, *, rule: str = "symptom") -> tuple[Draft, ...]:
    """Take back a step that was proposed, so that nobody can approve it any more."""
    step = open_step(state)
    if step is None:
        return ()
    reason = Reason(rule=rule, ok=False, text=why)
    verdict = {"decision": "refuse", "reasons": [reason.as_data()]}
    data = {"step_id": step.step_id, "verdict": verdict, "why": why}
    return (Draft(kind=Kind.STEP_BLOCKED, cause=step.proposed_seq, data=data),)


def in_doubt_text(state: State) -> str:
    """Say why nothing else can be done while a step has no known outcome, and what helps."""
    step = state.unsettled[0]
    return (
        f"step {step.step_id} ({step.action} on {step.target}) has no known outcome; look at the "
        f"target, then run `holdfast settle {state.incident_id} {step.step_id} "
        "happened|not-happened --evidence TEXT`"
    )
