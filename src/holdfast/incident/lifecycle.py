"""The phases of an incident and the statuses of a step, as tables.

Every change of phase is a row here; the diagram in the docs is drawn from these
rows. Who acts is not known here: a person's move and the engine's follow the
same rows.
"""

from enum import StrEnum

from holdfast.kernel.errors import IllegalTransitionError


class Phase(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    DIAGNOSING = "diagnosing"
    PLANNED = "planned"
    RESPONDING = "responding"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"
    REOPENED = "reopened"


class Trigger(StrEnum):
    """What can move an incident from one phase to another."""

    CHECKS_STARTED = "checks recorded"
    PLAN_CHOSEN = "plan chosen"
    STEP_INTENDED = "step intended"
    STEP_SETTLED = "step has an outcome"
    STEP_FAILED = "step failed, proven without effect"
    MORE_TO_DO = "helped, recovery not complete"
    RECOVERED = "recovery verified"
    DISMISS = "false alarm"
    MERGE = "same fault as another incident"
    CLOSE = "postmortem or stated reason"
    REOPEN = "symptom is back"
    HAND_BACK = "handed back to the system"


_BEFORE_RESOLVED = {Trigger.DISMISS: Phase.DISMISSED, Trigger.MERGE: Phase.MERGED}
# What people did meanwhile is diagnosed anew before the system goes on.
_HAND_BACK = {Trigger.HAND_BACK: Phase.OPEN}

TRANSITIONS: dict[Phase, dict[Trigger, Phase]] = {
    Phase.OPEN: {Trigger.CHECKS_STARTED: Phase.DIAGNOSING, **_BEFORE_RESOLVED, **_HAND_BACK},
    Phase.DIAGNOSING: {
        Trigger.CHECKS_STARTED: Phase.DIAGNOSING,
        Trigger.PLAN_CHOSEN: Phase.PLANNED,
        Trigger.RECOVERED: Phase.RESOLVED,
        **_BEFORE_RESOLVED,
        **_HAND_BACK,
    },
    Phase.PLANNED: {
        Trigger.CHECKS_STARTED: Phase.PLANNED,
        Trigger.PLAN_CHOSEN: Phase.PLANNED,
        Trigger.STEP_INTENDED: Phase.RESPONDING,
        Trigger.RECOVERED: Phase.RESOLVED,
        **_BEFORE_RESOLVED,
        **_HAND_BACK,
    },
    Phase.RESPONDING: {
        Trigger.STEP_SETTLED: Phase.VERIFYING,
        Trigger.STEP_FAILED: Phase.PLANNED,
        **_BEFORE_RESOLVED,
    },
    Phase.VERIFYING: {
        Trigger.MORE_TO_DO: Phase.PLANNED,
        Trigger.RECOVERED: Phase.RESOLVED,
        **_BEFORE_RESOLVED,
        **_HAND_BACK,
    },
    Phase.RESOLVED: {Trigger.CLOSE: Phase.CLOSED, Trigger.REOPEN: Phase.REOPENED},
    Phase.REOPENED: {Trigger.CHECKS_STARTED: Phase.DIAGNOSING, **_BEFORE_RESOLVED, **_HAND_BACK},
    Phase.DISMISSED: {Trigger.CLOSE: Phase.CLOSED},
    Phase.MERGED: {},
    Phase.CLOSED: {},
}

ENDED = frozenset({Phase.RESOLVED, Phase.CLOSED, Phase.DISMISSED, Phase.MERGED})


def next_phase(phase: Phase, trigger: Trigger) -> Phase:
    """Follow one row of the table. Raises IllegalTransitionError where there is none."""
    try:
        return TRANSITIONS[phase][trigger]
    except KeyError:
        raise IllegalTransitionError(
            f"no transition for {trigger.value!r} from phase {phase.value!r}; "
            "please report this with `holdfast incident export`"
        ) from None


class StepStatus(StrEnum):
    """Where a step stands. `in_doubt` is a state of its own: not failed, not retried."""

    PROPOSED = "proposed"
    AWAITING_APPROVAL = "awaiting_approval"
    INTENDED = "intended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    REVERSED = "reversed"


_S = StepStatus

STEP_TRANSITIONS: dict[StepStatus, frozenset[StepStatus]] = {
    _S.PROPOSED: frozenset({_S.AWAITING_APPROVAL, _S.INTENDED, _S.BLOCKED, _S.SKIPPED}),
    _S.AWAITING_APPROVAL: frozenset({_S.INTENDED, _S.BLOCKED, _S.SKIPPED}),
    _S.INTENDED: frozenset({_S.SUCCEEDED, _S.FAILED, _S.IN_DOUBT}),
    _S.IN_DOUBT: frozenset({_S.SUCCEEDED, _S.FAILED}),
    _S.SUCCEEDED: frozenset({_S.VERIFIED, _S.UNVERIFIED, _S.REVERSED}),
    _S.VERIFIED: frozenset({_S.REVERSED}),
    _S.UNVERIFIED: frozenset({_S.VERIFIED, _S.REVERSED}),
    _S.FAILED: frozenset(),
    _S.BLOCKED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.REVERSED: frozenset(),
}


def next_step_status(status: StepStatus, after: StepStatus) -> StepStatus:
    """Allow one move of a step. Raises IllegalTransitionError where the table has no such move."""
    if after not in STEP_TRANSITIONS[status]:
        raise IllegalTransitionError(
            f"a step can't go from {status.value!r} to {after.value!r}; "
            "please report this with `holdfast incident export`"
        )
    return after


def phase_diagram() -> str:
    """Draw the phases as a Mermaid state diagram."""
    rows = [
        f"    {phase.value} --> {after.value}: {trigger.value}"
        for phase, row in TRANSITIONS.items()
        for trigger, after in row.items()
    ]
    return "\n".join(["stateDiagram-v2", *rows])


def step_diagram() -> str:
    """Draw the statuses of a step as a Mermaid state diagram."""
    rows = [
        f"    {status.value} --> {after.value}"
        for status, row in STEP_TRANSITIONS.items()
        for after in sorted(row)
    ]
    return "\n".join(["stateDiagram-v2", *rows])
