"""Approvals: a person's yes to one step as it is now, or their no.

A yes is bound to the step's hash, counts once and not for ever; the guard judges the step once
more before it runs. A no holds the incident.
"""

from holdfast.incident import Draft, Kind, Step, StepStatus
from holdfast.kernel.reason import Reason
from holdfast.policy import names_hash
from holdfast.policy.step_hash import PART_CHARACTERS
from holdfast.response.asking import Asking, done, drafted, not_ended, on_it, refusal
from holdfast.response.commands import Command
from holdfast.response.holding import OPEN_STEP
from holdfast.response.words import own_words


def approve(case: Asking) -> tuple[Command, ...]:
    step = _awaited(case)
    given = case.data["hash"]
    if not names_hash(given, step.hash):
        raise refusal(
            f"the hash {given!r} is not that of step {step.step_id} (it ends in "
            f"...{step.hash[-6:]}); the step may have changed: read `holdfast incident show` again "
            f"and give all of it, or {PART_CHARACTERS} characters of its beginning or end"
        )
    for problem in own_words(case, case.data["because"]):
        raise refusal(problem)
    data = {"step_id": step.step_id, "hash": step.hash, "because": case.data["because"]}
    drafts = (*on_it(case.state, case.request), drafted(case, Kind.APPROVAL_GRANTED, data))
    return done(
        case, drafts, f"step {step.step_id} is approved; it is judged once more before it runs"
    )


def deny(case: Asking) -> tuple[Command, ...]:
    step = _awaited(case)
    why = f"{case.request.actor.id} denied {step.action} on {step.target}: {case.data['because']}"
    verdict = {
        "decision": "refuse",
        "reasons": [Reason(rule="approval", ok=False, text=why).as_data()],
    }
    draft = drafted(
        case, Kind.APPROVAL_DENIED, {"step_id": step.step_id, "verdict": verdict, "why": why}
    )
    held = () if case.state.held else (Draft(kind=Kind.HELD, data={"why": why}),)
    drafts = (*on_it(case.state, case.request), draft, *held)
    return done(case, drafts, f"step {step.step_id} is denied; the incident is held")


def skip(case: Asking) -> tuple[Command, ...]:
    """Take an open step back without a hold: the plan goes on with the next one."""
    not_ended(case)
    step = case.state.step(case.data["step_id"])
    if step is None or step.status not in OPEN_STEP:
        status = step.status.value if step else "unknown"
        raise refusal(
            f"step {case.data['step_id']} of {case.state.incident_id} is {status}; only a step "
            "that is proposed or waits for an approval can be skipped"
        )
    for problem in own_words(case, case.data["because"]):
        raise refusal(problem)
    why = case.data["because"]
    draft = drafted(case, Kind.STEP_SKIPPED, {"step_id": step.step_id, "why": why})
    drafts = (*on_it(case.state, case.request), draft)
    return done(case, drafts, f"step {step.step_id} ({step.action} on {step.target}) is skipped")


def _awaited(case: Asking) -> Step:
    not_ended(case)
    step = case.state.step(case.data["step_id"])
    if step is None or step.status is not StepStatus.AWAITING_APPROVAL:
        status = step.status.value if step else "unknown"
        raise refusal(
            f"step {case.data['step_id']} of {case.state.incident_id} is {status}, it does not "
            "wait for an approval"
        )
    if step.approval is not None:
        raise refusal(f"step {step.step_id} was approved by {step.approval['by']} already")
    return step
