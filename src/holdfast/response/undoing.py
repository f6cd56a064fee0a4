"""Undo: a step of its own that puts back what an earlier one did, guarded like any other.

The action compares before it sets: what somebody changed since is not put back. What can't be
undone, or has no known outcome, is refused before anything is proposed.
"""

from holdfast.incident import Step, StepStatus
from holdfast.kernel.catalogue import split_instance
from holdfast.response.asking import Asking, refusal
from holdfast.response.commands import Command
from holdfast.response.directing import criteria_of, variables
from holdfast.response.ordering import ordered
from holdfast.response.proposing import StepSpec, next_step_id

_PERFORMED = frozenset({StepStatus.SUCCEEDED, StepStatus.VERIFIED, StepStatus.UNVERIFIED})


def undo(case: Asking) -> tuple[Command, ...]:
    """Propose the undo of a step, or rehearse it."""
    return ordered(case, undo_spec(case))


def undo_spec(case: Asking) -> StepSpec:
    """Make the step that undoes another one. Raises BadInputError where that can't be."""
    step = _undoable(case)
    service, region = split_instance(step.target)
    criteria = criteria_of(case, case.data.get("expect") or step.criteria, service)
    return StepSpec(
        action=step.action,
        target=step.target,
        params=step.params,
        criteria=criteria,
        timeout_s=step.timeout_s,
        cooldown_s=case.world.timing.cooldown_s,
        impact=step.impact,
        variables=variables(service, region),
        step_id=next_step_id(case.state),
        actor=case.request.actor,
        because=case.data.get("because"),
        undo_of=step.step_id,
    )


def _undoable(case: Asking) -> Step:
    name = case.data["step_id"]
    step = case.state.step(name)
    if step is None:
        known = ", ".join(s.step_id for s in case.state.steps) or "none"
        raise refusal(f"step {name!r} of {case.state.incident_id} is unknown; known are {known}")
    what = f"step {step.step_id} ({step.action} on {step.target})"
    if step.status is StepStatus.REVERSED:
        raise refusal(f"{what} is undone already; there is nothing left of it to undo")
    if step.unsettled:
        raise refusal(
            f"{what} has no known outcome; look at the target and run `holdfast settle` first"
        )
    if step.status not in _PERFORMED:
        raise refusal(f"{what} is {step.status.value}: it was not performed, nothing is to undo")
    if step.undo_of is not None:
        raise refusal(
            f"{what} is itself the undo of {step.undo_of}; direct the action again instead"
        )
    reversible = str(step.pre_image.get("reversible") or "no: the action does not say how")
    if reversible.split(":", maxsplit=1)[0].strip().lower() == "no":
        raise refusal(f"{what} can't be undone ({reversible}); direct what helps instead")
    return step
