"""Where a step stands in the words of people, and what its control planes were found as.

Eleven statuses say how a step got where it is; whoever takes over asks for one of seven words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.incident.lifecycle import StepStatus
from holdfast.incident.state import Step

_S = StepStatus

# An intent under way counts as in doubt: until it answers nobody knows whether it took effect.
STANDING: Mapping[StepStatus, str] = {
    _S.PROPOSED: "pending",
    _S.AWAITING_APPROVAL: "pending",
    _S.INTENDED: "in_doubt",
    _S.IN_DOUBT: "in_doubt",
    _S.SUCCEEDED: "completed",
    _S.VERIFIED: "completed",
    _S.UNVERIFIED: "completed",
    _S.FAILED: "not_applied",
    _S.BLOCKED: "blocked",
    _S.SKIPPED: "skipped",
    _S.REVERSED: "reversed",
}


def planes_of(step: Step) -> Sequence[Mapping[str, Any]]:
    """Give the control planes of a step as they were found last; as predicted before that."""
    for found in (
        step.verification.get("planes"),
        step.planes,
        step.outcome.get("planes"),
        step.pre_image.get("planes"),
    ):
        if found:
            return tuple(found)
    return ()
