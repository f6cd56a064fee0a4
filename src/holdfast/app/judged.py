"""What became of a step right after it was asked for: whoever directs wants to know before they go.

The answer to a directive says that the step is proposed; the guard judges it a moment later, on
what it reads then. So the records are followed until it has.
"""

import threading
from collections.abc import Callable
from typing import Any

from holdfast.incident import State, Step, StepStatus
from holdfast.kernel.clock import Clock

JUDGED_S = 15.0
_POLL_S = 0.1


def judged(
    look: Callable[[], State], step_id: str, clock: Clock, wait_s: float = JUDGED_S
) -> Step | None:
    """Give the step once the guard has judged it; as it is then, where that takes too long."""
    never, until = threading.Event(), clock.monotonic() + wait_s
    while True:
        step = look().step(step_id)
        waits = step is not None and step.status is StepStatus.PROPOSED
        if not waits or clock.monotonic() >= until:
            return step
        clock.wait(never, _POLL_S)


def refused(step: Step | None) -> bool:
    """Say whether the guard refused the step, or a person took it back."""
    return step is not None and step.status in {StepStatus.BLOCKED, StepStatus.SKIPPED}


def told(incident_id: str, step: Step | None) -> dict[str, Any]:
    """Say in one line what became of a step, and give its status as data."""
    if step is None:
        return {"status": None, "became": "what became of it can't be told; see `incident show`"}
    name = f"step {step.step_id} ({step.action} on {step.target})"
    against = [r for r in step.verdict.get("reasons", ()) if not r.get("ok")]
    why = "; ".join(str(reason["text"]) for reason in against)
    words = {
        StepStatus.PROPOSED: f"{name} is not judged yet; see `holdfast incident show`",
        StepStatus.AWAITING_APPROVAL: (
            f"{name} waits for an approval: holdfast approve {incident_id} {step.step_id} "
            f"--hash {step.hash} --because TEXT"
        ),
        StepStatus.BLOCKED: f"{name} is refused: {why or 'see `holdfast incident show`'}",
        StepStatus.SKIPPED: f"{name} was skipped",
        StepStatus.FAILED: f"{name} failed: {step.outcome.get('summary') or 'no output'}",
        StepStatus.IN_DOUBT: f"{name} is in doubt: look at {step.target}, then settle it",
    }
    became = words.get(step.status, f"{name} is allowed and under way")
    return {"status": step.status.value, "became": became}
