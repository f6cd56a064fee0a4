"""A planned step whose target is in maintenance waits for the window to end; nobody is called.

Nothing is in doubt: people are at work there and said until when. Once no window covers the
target any more the step is proposed anew, and judged on what is read then.
"""

from collections.abc import Sequence

from holdfast.incident import Draft, Kind, Step, StepStatus
from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.clock import format_at
from holdfast.policy import MAINTENANCE_RULE, Verdict, Window, covering
from holdfast.policy.authority import OBSERVE_RULE
from holdfast.response.commands import Command, Write

_BESIDE = frozenset({MAINTENANCE_RULE, OBSERVE_RULE, "cooldown"})


def waits_for_window(step: Step) -> bool:
    """Say whether a step was put off until a maintenance window is over."""
    return step.status is StepStatus.BLOCKED and bool(step.verdict.get("maintenance"))


def is_covered(step: Step, windows: Sequence[Window]) -> bool:
    """Say whether a window that is open now covers the target of a step."""
    service, region = split_instance(step.target)
    return covering(windows, service=service, region=region) is not None


def put_off(step: Step, verdict: Verdict, window: Window | None) -> tuple[Command, ...]:
    """Record that a step waits for its window; nothing where something else stands in its way."""
    rules = {reason.rule for reason in verdict.refusals}
    if window is None or step.plan_index is None or not rules <= _BESIDE:
        return ()
    why = (
        f"{step.action} on {step.target} waits: maintenance {window.window_id} ({window.scope}) is "
        f"on until {format_at(window.ends_at)}: {window.why}; it is proposed anew after that"
    )
    until = {"maintenance": window.window_id, "until": format_at(window.ends_at)}
    data = {"step_id": step.step_id, "verdict": verdict.as_data() | until, "why": why}
    return (Write(drafts=(Draft(kind=Kind.STEP_BLOCKED, data=data, cause=step.proposed_seq),)),)
