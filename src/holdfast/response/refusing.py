"""What becomes of a step that the guard does not simply allow.

Refused, it is recorded with every reason and held; asked about, it waits for a
person; in mode observe it is only shown, which is no doubt and so no hold.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, State, Step, StepStatus
from holdfast.kernel.clock import parse_at
from holdfast.kernel.reason import Reason
from holdfast.policy import Verdict
from holdfast.response.commands import Command, WakeAt, Write
from holdfast.response.events import Prepared
from holdfast.response.holding import escalate, hold_and_escalate
from holdfast.response.windows import put_off
from holdfast.response.world import World

_TEMPORARY_RULES = frozenset({"cooldown"})


def refused(
    state: State, step: Step, event: Prepared, verdict: Verdict, now: datetime
) -> tuple[Command, ...]:
    """Block the step with its reasons, unless waiting is all that it needs."""
    if {reason.rule for reason in verdict.refusals} <= _TEMPORARY_RULES:
        # The reason's time is that of the last action there, whoever did it.
        acted = [parse_at(reason.at) for reason in verdict.refusals if reason.at]
        ready_at = max(acted, default=now) + timedelta(seconds=step.cooldown_s)
        if acted and ready_at > now:
            return (WakeAt(at=ready_at),)
    if wait := put_off(step, verdict, event.maintenance):
        return wait
    if verdict.would_have:
        return _shown(state, step, verdict, now)
    return blocked(state, step, verdict.refusals, verdict.as_data(), now)


def _shown(state: State, step: Step, verdict: Verdict, now: datetime) -> tuple[Command, ...]:
    """Nothing is in doubt, it is only not allowed: no hold, but a person is told."""
    why = f"mode observe: {step.action} on {step.target} would be performed now; nothing was done"
    if verdict.lowered_by:
        why = f"{why}; {verdict.lowered_by}"
    data = {"step_id": step.step_id, "verdict": verdict.as_data(), "why": why}
    draft = Draft(kind=Kind.STEP_BLOCKED, data=data, cause=step.proposed_seq)
    return (Write(drafts=(draft, *escalate(state, why, now))),)


def blocked(
    state: State,
    step: Step,
    refusals: tuple[Reason, ...],
    verdict: Mapping[str, Any],
    now: datetime,
) -> tuple[Command, ...]:
    """Record a refusal with all its reasons and hold the incident."""
    told = "; ".join(reason.sentence() for reason in refusals)
    why = f"{step.action} on {step.target} was refused: {told}"
    data = {
        "step_id": step.step_id,
        "verdict": {
            **verdict,
            "reasons": verdict.get("reasons") or [r.as_data() for r in refusals],
        },
        "why": why,
    }
    draft = Draft(kind=Kind.STEP_BLOCKED, data=data, cause=step.proposed_seq)
    if step.plan_index is None and state.escalated:
        # Whoever directed it is at work on this; nobody else is called for a refusal.
        held = Draft(kind=Kind.HELD, data={"why": why})
        return (Write(drafts=(draft, held)),)
    return (Write(drafts=(draft, *hold_and_escalate(state, why, now))),)


def ask_approval(
    state: State, step: Step, verdict: Verdict, now: datetime, world: World
) -> tuple[Command, ...]:
    """Ask for an approval that is bound to the step as it is now."""
    if step.status is StepStatus.AWAITING_APPROVAL:
        why = "the approval given does not cover this step as it is now"
        return blocked(state, step, verdict.needs, verdict.as_data() | {"why": why}, now)
    expires_at = now + timedelta(seconds=world.timing.approval_ttl_s)
    why = f"{step.action} on {step.target} waits for a person's approval: " + "; ".join(
        reason.sentence() for reason in verdict.needs
    )
    drafts = [
        Draft(
            kind=Kind.APPROVAL_REQUESTED,
            cause=step.proposed_seq,
            data={
                "step_id": step.step_id,
                "hash": step.hash,
                "expires_at": expires_at.isoformat(),
                "why": why,
                "verdict": verdict.as_data(),
            },
        )
    ]
    return (Write(drafts=(*drafts, *escalate(state, why, now))),)


def expired(state: State, step: Step, now: datetime) -> tuple[Command, ...]:
    """End a step that nobody approved in time."""
    why = f"nobody approved {step.action} on {step.target} in time; nothing was done"
    verdict = {
        "decision": "refuse",
        "reasons": [Reason(rule="approval", ok=False, text=why).as_data()],
    }
    draft = Draft(kind=Kind.APPROVAL_EXPIRED, data={"step_id": step.step_id, "verdict": verdict})
    return (Write(drafts=(draft, *hold_and_escalate(state, why, now))),)
