"""From a plan to an intent: one proposed step at a time, judged by the guard.

Everything the guard judges is read just before it judges. A symptom that is
gone, or can't be read, stops the step: nothing is done for a trouble that may
be over.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.diagnosis import SymptomStatus, read_symptom
from holdfast.incident import Draft, Kind, Phase, State, Step, StepStatus
from holdfast.kernel.catalogue import instance_name, regions_of, split_instance
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.reason import Reason
from holdfast.policy import Decision, Verdict
from holdfast.response.commands import Command, Intend, Prepare, ReadSymptom, WakeAt, Write
from holdfast.response.contradictions import look_again_at
from holdfast.response.diagnosing import on_symptom, patience, window_s
from holdfast.response.events import Prepared, SymptomRead
from holdfast.response.holding import OPEN_STEP, hold_and_escalate, open_step
from holdfast.response.live_state import series_to_read
from holdfast.response.modes import observes, only_shown
from holdfast.response.proposing import StepSpec, next_step_id, proposal
from holdfast.response.question import guard_verdict
from holdfast.response.refusing import ask_approval, blocked, expired, refused
from holdfast.response.signals import judged_by, symptom_series
from holdfast.response.store import LimitCheck, Reservation, Seen
from holdfast.response.undone import pre_image_of
from holdfast.response.windows import is_covered, waits_for_window
from holdfast.response.world import World
from holdfast.verification import parse_expectation, sustain_window_s

_SAID = ("summary", "evidence", "error_category")
_DONE = frozenset({StepStatus.VERIFIED, StepStatus.SKIPPED})
_CHECK_NAME = re.compile(r"\bchecks\.(\w+)")
_NEEDS_DEPLOYMENTS = frozenset({"rollback_deploy"})


def go_on(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Drive the open step, propose the next one, or wait for a directive."""
    step = open_step(state)
    if step is not None:
        return _drive(state, step, now, world)
    index = _next_index(state)
    if index is None:
        return (ReadSymptom(series=symptom_series(state)),)
    tried = [step for step in state.steps_of_plan if step.plan_index == index]
    if tried and tried[-1].status is StepStatus.FAILED:
        return _retry(state, index, tried, now, world)
    if tried and (only_shown(tried[-1]) or waits_for_window(tried[-1])):
        # Looked at again and again, until the trouble ends or the step may be proposed anew.
        return (ReadSymptom(series=symptom_series(state)),)
    return _propose(state, index, world)


def on_fresh_symptom(
    state: State, event: SymptomRead, now: datetime, world: World
) -> tuple[Command, ...]:
    """Act on the symptom; propose anew what was only shown, once the mode is observe no more, and
    what was put off, once its maintenance window is over.
    """
    commands = on_symptom(state, event, now, world)
    index = _next_index(state)
    if not commands or any(isinstance(command, Write) for command in commands) or index is None:
        return commands
    tried = [step for step in state.steps_of_plan if step.plan_index == index]
    if state.phase is not Phase.PLANNED or not tried or open_step(state) is not None:
        return commands
    if _may_be_proposed_anew(state, tried[-1], event, world):
        return _propose(state, index, world)
    return commands


def _may_be_proposed_anew(state: State, last: Step, event: SymptomRead, world: World) -> bool:
    if waits_for_window(last):
        return not is_covered(last, event.windows)
    return only_shown(last) and not observes(state, world, event.modes)


def _next_index(state: State) -> int | None:
    """The first step of the plan that is not done; None for a plan that is over or directed."""
    if state.plan is None:
        return None
    done = {step.plan_index for step in state.steps_of_plan if step.status in _DONE}
    return next((i for i in range(len(state.plan.steps)) if i not in done), None)


def _retry(
    state: State, index: int, tried: list[Step], now: datetime, world: World
) -> tuple[Command, ...]:
    planned = _planned(state, index)
    last = tried[-1]
    if attempts_intended(tried) > planned["retries"]:
        if last.ended_at and state.resumed_at and state.resumed_at >= last.ended_at:
            # A person resumed after it failed: perhaps they repaired it.
            return (ReadSymptom(series=symptom_series(state)),)
        said = next((last.outcome[n] for n in _SAID if last.outcome.get(n)), "no output")
        why = (
            f"{last.action} on {last.target} failed and no retry is left of "
            f"{planned['retries']}: {said}"
        )
        return (Write(drafts=hold_and_escalate(state, why, now)),)
    ready_at = (last.ended_at or now) + timedelta(seconds=_cooldown_s(planned, world))
    if now < ready_at:
        return (WakeAt(at=ready_at),)
    if last.outcome.get("effect") == "absent":
        return _propose(state, index, world, step_id=last.step_id, attempt=last.attempt + 1)
    return _propose(state, index, world)


def attempts_intended(steps: Sequence[Step]) -> int:
    """Count the attempts that were intended: each but the last one of a step, and maybe that."""
    return sum(s.attempt if s.intended_at is not None else s.attempt - 1 for s in steps)


def _planned(state: State, index: int) -> Mapping[str, Any]:
    return state.plan.steps[index] if state.plan else {}


def _cooldown_s(planned: Mapping[str, Any], world: World) -> float:
    return max(float(planned.get("cooldown_s", 0.0)), world.timing.cooldown_s)


def _propose(
    state: State, index: int, world: World, *, step_id: str | None = None, attempt: int = 1
) -> tuple[Command, ...]:
    planned = _planned(state, index)
    spec = StepSpec(
        action=planned["action"],
        target=planned["target"],
        params=planned["params"],
        impact=planned["impact"],
        criteria=tuple(planned["expect"]),
        timeout_s=planned["timeout_s"],
        undo=planned["undo"],
        cooldown_s=_cooldown_s(planned, world),
        when=tuple(planned["when"]),
        variables=planned["variables"],
        plan_index=index,
        step_id=step_id or next_step_id(state),
        attempt=attempt,
    )
    return (Write(drafts=(proposal(state, world, spec),)),)


def _drive(state: State, step: Step, now: datetime, world: World) -> tuple[Command, ...]:
    waits = step.status is StepStatus.AWAITING_APPROVAL and step.approval is None
    if waits and step.approval_expires_at is not None:
        if now >= step.approval_expires_at:
            return expired(state, step, now)
        # While it waits the trouble may end, and the step with it.
        until = WakeAt(at=step.approval_expires_at)
        return (ReadSymptom(series=symptom_series(state)), until)
    return (prepare(state, step, now, world),)


def prepare(state: State, step: Step, now: datetime, world: World) -> Prepare:
    """Ask for everything that the guard needs on this step."""
    names = {name for expression in step.when for name in _CHECK_NAME.findall(expression)}
    if step.action in _NEEDS_DEPLOYMENTS:
        names.add("recent_deployments")
    return Prepare(
        step_id=step.step_id,
        action=step.action,
        target=step.target,
        params=step.params,
        services=tuple(dict.fromkeys((split_instance(step.target)[0], *state.services))),
        started_at=state.began_at or now,
        series=symptom_series(state),
        checks=tuple(sorted(names)),
        siblings=_siblings(step.target, world),
        aliases=_aliases(step.target, world),
        live=series_to_read(step, world) if step.plan_index is None else (),
        every_check=step.plan_index is None,
        seen=step.seen,
    )


def _aliases(target: str, world: World) -> tuple[str, ...]:
    """List the other names of the same place: limits count what was done to it by any of them."""
    name, _ = split_instance(target)
    service = world.catalogue.services.get(name)
    if service is None or len(service.regions) != 1:
        return ()
    return tuple(place for place in (name, f"{name}@{service.regions[0]}") if place != target)


def _siblings(target: str, world: World) -> tuple[str, ...]:
    """List the other instances of the target's service: their steps count for the blast radius."""
    name, _ = split_instance(target)
    service = world.catalogue.services.get(name)
    regions = service.regions if service else ()
    places = (name, *(instance_name(name, region) for region in regions))
    return tuple(place for place in dict.fromkeys(places) if place != target)


def on_prepared(state: State, event: Prepared, now: datetime, world: World) -> tuple[Command, ...]:
    """Judge the step on what was read just now."""
    step = state.step(event.step_id)
    if step is None or step.status not in OPEN_STEP or state.held or state.unsettled:
        return ()
    if state.phase is not Phase.PLANNED or step is not open_step(state):
        return ()
    if event.problem is not None:
        return _not_to_be_read(state, step, event, now, world)
    if step.plan_index is not None and (wait := _symptom_gate(state, step, event, now, world)):
        return wait
    try:
        verdict = guard_verdict(state, step, event, now, world)
        for text in step.criteria:
            parse_expectation(text)
    except BadInputError as error:
        reason = Reason(rule="criteria", ok=False, text=error.message)
        return blocked(state, step, (reason,), {"decision": "refuse"}, now)
    match verdict.decision:
        case Decision.ALLOW:
            return (_intend(state, step, event, verdict, now, world),)
        case Decision.NEEDS_APPROVAL:
            return ask_approval(state, step, verdict, now, world)
        case Decision.REFUSE:
            again = look_again_at(verdict.refusals, step, now, world)
            return (WakeAt(at=again),) if again else refused(state, step, event, verdict, now)


def _not_to_be_read(
    state: State, step: Step, event: Prepared, now: datetime, world: World
) -> tuple[Command, ...]:
    """Refuse where the target can't be acted on; a person who directed it is told all the rest."""
    reason = Reason(rule="observe", ok=False, text=str(event.problem), source=step.target)
    if step.plan_index is not None:
        return blocked(state, step, (reason,), {"decision": "refuse"}, now)
    verdict = guard_verdict(state, step, event, now, world)
    reasons = [each.as_data() for each in (reason, *verdict.reasons)]
    data = {**verdict.as_data(), "decision": "refuse", "would_have": False, "reasons": reasons}
    return blocked(state, step, (reason, *verdict.refusals), data, now)


def _symptom_gate(
    state: State, step: Step, event: Prepared, now: datetime, world: World
) -> tuple[Command, ...]:
    """Stop where the trouble is over, or where it can't be told whether it is."""
    symptom = read_symptom(event.symptom, judged_by(state), now=now, window_s=window_s(world))
    if symptom.status is SymptomStatus.PRESENT:
        return ()
    since = step.proposed_at or now
    if symptom.status is SymptomStatus.UNCLEAR and now - since > patience(world):
        text = f"it can't be told whether the trouble is still there: {symptom.sentence()}"
        reason = Reason(rule="symptom", ok=False, text=text, at=now.isoformat())
        return blocked(state, step, (reason,), {"decision": "refuse"}, now)
    if symptom.status is SymptomStatus.ABSENT:
        return on_symptom(state, SymptomRead(symptom=event.symptom), now, world)
    return (WakeAt(at=now + timedelta(seconds=world.timing.sampling_interval_s)),)


def _intend(
    state: State, step: Step, event: Prepared, verdict: Verdict, now: datetime, world: World
) -> Intend:
    # Nothing that a person asked for may stand undecided when the intent is written: inbox_n=0.
    key = f"{state.incident_id}/{step.step_id}/{step.attempt}"
    timing = world.timing
    window = sustain_window_s(
        [parse_expectation(text) for text in step.criteria],
        sampling_interval_s=timing.sampling_interval_s,
        sustain_min_s=timing.sustain_s,
    )
    draft = Draft(
        kind=Kind.STEP_INTENDED,
        cause=step.approval["seq"] if step.approval else step.proposed_seq,
        data={
            "step_id": step.step_id,
            "attempt": step.attempt,
            "action": step.action,
            "target": step.target,
            "params": dict(step.params),
            "idempotency_key": key,
            "pre_image": pre_image_of(state, step, event.pre_image),
            "criteria": list(step.criteria),
            "sustain_window_s": window,
            "regions": list(regions_of(_touched(step, world))),
            "override_ids": [each.override_id for each in verdict.overrides],
            "verdict": verdict.as_data(),
        },
    )
    reservation = Reservation(
        key=key,
        step_id=step.step_id,
        attempt=step.attempt,
        action=step.action,
        target=step.target,
    )
    return Intend(
        step_id=step.step_id,
        draft=draft,
        reservation=reservation,
        seen=_seen(step, event, verdict, now, world),
        timeout_s=step.timeout_s,
    )


def _touched(step: Step, world: World) -> list[Any]:
    service = world.catalogue.services.get(split_instance(step.target)[0])
    return [service] if service else []


def _seen(step: Step, event: Prepared, verdict: Verdict, now: datetime, world: World) -> Seen:
    raised = {each.limit for each in verdict.overrides}
    return Seen(
        system_seq=event.system_seq,
        inbox_n=0,
        limits=_limit_checks(step, event, now, world, raised="restarts_per_target" in raised),
        cooldown_s=0.0 if "cooldown" in raised else step.cooldown_s,
    )


def _limit_checks(
    step: Step, event: Prepared, now: datetime, world: World, *, raised: bool
) -> tuple[LimitCheck, ...]:
    if step.action != "restart_service":
        return ()
    window_s, most = world.limits.restart_window_s, world.limits.restarts_per_target
    if raised:
        # Room for this one beside those that the guard counted, and for nobody else's.
        since = now - timedelta(seconds=window_s)
        before = [e for e in event.log if e.action == step.action and e.at > since]
        most = len(before) + 1
    return (LimitCheck(action=step.action, target=step.target, window_s=window_s, most=most),)
