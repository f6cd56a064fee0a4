"""A person's order for one step: what stands in its way, the records it makes, or its dry run.

A directive and an undo differ only in the step they ask for. One at a time: the next one waits
until the last is verified.
"""

from dataclasses import replace
from typing import Any

from holdfast.incident import Draft, Kind, Phase, State, Step, StepStatus, evolve, stamp
from holdfast.incident.state import changed
from holdfast.response.asking import Asking, drafted, not_ended, on_it, refusal, written
from holdfast.response.commands import Command, Rehearse
from holdfast.response.holding import held_by_person, in_doubt_text, open_step
from holdfast.response.planning import prepare
from holdfast.response.proposing import StepSpec, proposal
from holdfast.response.store import Answer
from holdfast.response.words import own_words
from holdfast.runbooks.durations import format_duration

# What waited longer in the inbox was decided on a state that may be gone.
CURRENT_S = 300.0


def ordered(case: Asking, spec: StepSpec) -> tuple[Command, ...]:
    """Propose the step, or read what its dry run needs. Raises BadInputError when refused."""
    if case.data.get("dry_run"):
        state, step = as_if(case, spec)
        prepared = prepare(state, step, case.now, case.world)
        return (Rehearse(request=case.request, prepare=prepared),)
    not_ended(case)
    for text in obstacles(case):
        raise refusal(text)
    drafts = list(on_it(case.state, case.request))
    if case.state.held:
        drafts.append(drafted(case, Kind.RESUMED, {"why": case.data["because"]}))
    said = {**case.data, "action": spec.action, "target": spec.target}
    drafts.append(drafted(case, Kind.DIRECTIVE_RECEIVED, said))
    directive_seq = case.state.seq + len(drafts)
    if case.state.plan is None or case.state.plan.steps:
        # From here on a person chooses each step; the runbook does not go on by itself.
        drafts.append(_directed_plan(case))
    drafts.append(proposal(case.state, case.world, replace(spec, cause=directive_seq)))
    message = f"step {spec.step_id} is proposed; the guard judges it on the live state"
    answer = Answer(ok=True, message=message, data={"step_id": spec.step_id})
    return (written(case.request, tuple(drafts), answer),)


def as_if(case: Asking, spec: StepSpec) -> tuple[State, Step]:
    """Fold the proposal onto the incident, as it would be: a directive lifts our own hold."""
    state = case.state
    if state.held and not held_by_person(state):
        state = changed(state, held=None)
    draft = proposal(case.state, case.world, spec)
    record = stamp(draft, incident_id=state.incident_id, seq=state.seq + 1, at=case.now)
    state = evolve(state, record)
    return state, state.steps[-1]


def obstacles(case: Asking) -> tuple[str, ...]:
    """Say everything that refuses an order before the guard is asked."""
    state, found = case.state, list[str]()
    if state.ended:
        found.append(f"{state.incident_id} is {state.phase.value}; no step is possible any more")
    if (said := case.data.get("because")) is not None or not case.data.get("dry_run"):
        found.extend(own_words(case, said))
    waited_s = (case.now - case.request.at).total_seconds()
    if waited_s > CURRENT_S:
        found.append(
            f"it was asked for {format_duration(waited_s)} ago and nobody was there to judge it; a "
            "directive is a current instruction: look again, then ask anew"
        )
    if state.unsettled:
        found.append(in_doubt_text(state))
    if state.held and held_by_person(state):
        found.append(
            f"{state.incident_id} is held by {state.held['by']['id']}: {state.held['why']}; run "
            "`holdfast resume` first"
        )
    if (busy := busy_with(state)) is not None:
        found.append(f"{busy}; one step at a time: wait for it, or ask with `--wait 60s`")
    if state.phase in {Phase.OPEN, Phase.REOPENED}:
        found.append(f"{state.incident_id} has no checks yet; wait for the diagnosis")
    return tuple(found)


_WAITS = {
    StepStatus.PROPOSED: "is about to be judged by the guard",
    StepStatus.AWAITING_APPROVAL: "waits for an approval",
    StepStatus.INTENDED: "is being performed",
    StepStatus.SUCCEEDED: "is done and not verified yet",
}


def busy_with(state: State) -> str | None:
    """Say which step has to end first and what it waits for; None where the next one may come."""
    step = _unfinished(state)
    if step is None:
        return None
    by = step.by.get("id", "nobody") if step.plan_index is None else "the runbook"
    return (
        f"step {step.step_id} ({step.action} on {step.target}, chosen by {by}) "
        f"{_WAITS.get(step.status, 'is not finished')}"
    )


def _unfinished(state: State) -> Step | None:
    """Find the step that must end first. One whose verdict is in (and bad) has ended."""
    last = state.last_step
    if last and last.status is StepStatus.INTENDED:
        return last
    if state.phase is Phase.VERIFYING and last and last.status is StepStatus.SUCCEEDED:
        return last
    return open_step(state)


def _directed_plan(case: Asking) -> Draft:
    data: dict[str, Any] = {
        "runbook": "directed",
        "version": "-",
        "title": f"directed by {case.request.actor.id}",
        "mode": None,
        "steps": [],
        "why": "a person chooses each step",
        "reasons": [],
        "alternatives": [],
        "near_misses": [],
    }
    return drafted(case, Kind.PLAN_CHOSEN, data)
