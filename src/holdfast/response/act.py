"""What an attempt's end means, and what is done about one that has none.

An intent without an outcome is in doubt: not failed, not retried. It is settled
by a probe that shows the effect, by a target that remembers the key, or by a
person. Everything else holds.
"""

from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, State, Step, StepStatus
from holdfast.kernel.clock import format_at
from holdfast.response.commands import Command, Probe, Redo, WakeAt, Write
from holdfast.response.events import ActionReturned, Probed
from holdfast.response.holding import hold_and_escalate
from holdfast.response.modes import only_observes
from holdfast.response.ports import ActionOutcome, Effect, Repeatability
from holdfast.response.store import Seen
from holdfast.response.world import World

_PROBES_MOST = 3
_REPEATS_MOST = 3


def on_returned(state: State, event: ActionReturned, now: datetime) -> tuple[Command, ...]:
    """Write the outcome of an attempt, or that there is none."""
    step = state.step(event.step_id)
    if step is None or not step.unsettled:
        return ()
    if event.lost is not None:
        return (_doubt(step, event.lost),)
    outcome = event.outcome or ActionOutcome(
        ok=False,
        effect=Effect.ABSENT,
        summary=event.unreachable or "the target was not reached",
        error_category="unreachable",
    )
    if not outcome.ok and outcome.effect is Effect.UNKNOWN:
        return (_doubt(step, outcome.summary, outcome=outcome),)
    if event.redone and not outcome.ok:
        return _not_repeated(state, step, outcome, now)
    kind = Kind.STEP_RECONCILED if event.redone else Kind.STEP_FINISHED
    draft = Draft(kind=kind, cause=step.intended_seq, data=_finished(step, event, outcome))
    return (Write(drafts=(draft,), settles=(step.idempotency_key or "",)),)


def _not_repeated(
    state: State, step: Step, outcome: ActionOutcome, now: datetime
) -> tuple[Command, ...]:
    """The repeat had no effect, which says nothing about a late effect of the first try."""
    why = (
        f"{step.action} on {step.target} (step {step.step_id}) is still in doubt: performed again "
        f"it answered: {outcome.summary}; look at {step.target}, then run `holdfast settle`"
    )
    told = hold_and_escalate(state, why, now)
    return (_doubt(step, outcome.summary, *told, outcome=outcome),)


def _finished(step: Step, event: ActionReturned, outcome: ActionOutcome) -> dict[str, Any]:
    data = {
        "step_id": step.step_id,
        "outcome": "succeeded" if outcome.ok else "failed",
        "effect": outcome.effect.value,
        "action": step.action,
        "target": step.target,
        "params": dict(step.params),
        "attempt": step.attempt,
        "started_at": format_at(event.started_at),
        "ended_at": format_at(event.ended_at),
        "return_code": outcome.return_code,
        "error_category": outcome.error_category,
        "summary": outcome.summary,
        "output": outcome.output,
        "human_override": None,
        "idempotency_key": step.idempotency_key,
        "fence": step.fence,
        "reversible": step.pre_image.get("reversible"),
    }
    if outcome.kept is not None:
        data.update(outcome.kept.as_data())
    if event.planes:
        data["planes"] = [dict(each) for each in event.planes]
    if event.redone:
        data["how"] = "performed again with its own key, which the target remembers"
    return data


def _doubt(step: Step, why: str, *more: Draft, outcome: ActionOutcome | None = None) -> Write:
    data: dict[str, Any] = {"step_id": step.step_id, "why": why}
    if outcome is not None and outcome.kept is not None:
        data.update({"output": outcome.output, **outcome.kept.as_data()})
    draft = Draft(kind=Kind.STEP_IN_DOUBT, cause=step.intended_seq, data=data)
    return Write(drafts=(draft, *more))


def doubts_after_a_death(state: State) -> tuple[Command, ...]:
    """Mark what a dead worker left behind: an intent without an outcome."""
    return tuple(
        _doubt(step, "its worker stopped before it could report an outcome")
        for step in state.unsettled
        if step.status is StepStatus.INTENDED
    )


def settle_doubt(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Look at the target of the first step in doubt; a held one waits for a person."""
    step = state.unsettled[0]
    if step.status is not StepStatus.IN_DOUBT or state.held:
        return ()
    # The first look is taken at once; a target that could not be read gets a moment.
    pause = timedelta(seconds=world.timing.probe_pause_s)
    again_at = step.doubted_at + pause if step.doubts > 1 and step.doubted_at else now
    if again_at > now:
        return (WakeAt(at=again_at),)
    return (Probe(step_id=step.step_id),)


def on_probed(state: State, event: Probed, now: datetime, world: World) -> tuple[Command, ...]:
    """Settle what the probe proves; hold on everything that it doesn't."""
    step = state.step(event.step_id)
    if step is None or step.status is not StepStatus.IN_DOUBT:
        return ()
    match event.result.effect:
        case Effect.PRESENT:
            return (_reconciled(step, event, now),)
        case Effect.ABSENT:
            return _absent(state, step, event, now, world)
        case Effect.UNKNOWN:
            return _cannot_tell(state, step, event, now)


def _reconciled(step: Step, event: Probed, now: datetime) -> Write:
    data = {
        "step_id": step.step_id,
        "outcome": "succeeded",
        "effect": Effect.PRESENT.value,
        "action": step.action,
        "target": step.target,
        "params": dict(step.params),
        "attempt": step.attempt,
        "started_at": format_at(step.intended_at or now),
        "ended_at": format_at(now),
        "return_code": None,
        "error_category": None,
        "summary": event.result.evidence,
        "output": "",
        "human_override": None,
        "idempotency_key": step.idempotency_key,
        "fence": step.fence,
        "how": "a probe shows that the effect is there",
        "evidence": event.result.evidence,
        "reversible": step.pre_image.get("reversible"),
    }
    draft = Draft(kind=Kind.STEP_RECONCILED, cause=step.intended_seq, data=data)
    return Write(drafts=(draft,), settles=(step.idempotency_key or "",))


def _absent(
    state: State, step: Step, event: Probed, now: datetime, world: World
) -> tuple[Command, ...]:
    facts = world.actions.get(step.action)
    kind = at_this_target(step, facts.repeatability if facts else Repeatability.NONE)
    if state.held:
        return ()
    stop = _why_not_redo(step, event, kind) or _why_not_here(state, step, event, world)
    if stop is None:
        return (_redo(step, event, kind),)
    return (Write(drafts=hold_and_escalate(state, stop, now, facts=_fact(step, event))),)


def at_this_target(step: Step, best: Repeatability) -> Repeatability:
    """Take what the target could give when the step was intended, if that is less than the best."""
    if step.undo_of is not None:
        # What remembers a key remembers the attempt's, not that it was undone.
        return max(best, Repeatability.PROBEABLE, key=list(Repeatability).index)
    declared = step.pre_image.get("repeatability")
    if declared is None:
        return best
    strongest_first = list(Repeatability)
    known = {each.value: each for each in strongest_first}
    here = known.get(str(declared), Repeatability.NONE)
    return max(best, here, key=strongest_first.index)


def _redo(step: Step, event: Probed, kind: Repeatability) -> Redo:
    safe = (
        "the target remembers the key"
        if kind is Repeatability.IDEMPOTENT
        else "the target refuses an older token"
    )
    why = f"the effect is not there ({event.result.evidence}), and {safe}"
    data = {"step_id": step.step_id, "idempotency_key": step.idempotency_key, "why": why}
    return Redo(
        step_id=step.step_id,
        draft=Draft(kind=Kind.STEP_REPEATED, cause=step.intended_seq, data=data),
        seen=Seen(system_seq=event.system_seq, inbox_n=0),
        timeout_s=step.timeout_s,
    )


def _why_not_redo(step: Step, event: Probed, kind: Repeatability) -> str | None:
    what = (
        f"{step.action} on {step.target} (step {step.step_id}) is in doubt: {event.result.evidence}"
    )
    settle = f"look at {step.target}, then run `holdfast settle` with what you saw"
    if event.freeze is not None:
        return f"{what}; it is not repeated during the freeze {event.freeze.why!r}; {settle}"
    if (window := event.maintenance) is not None:
        return f"{what}; it is not repeated during maintenance {window.window_id}; {settle}"
    if not kind.may_be_redone:
        return (
            f"{what}; a late effect of the first attempt can't be ruled out, so it is not "
            f"repeated; {settle}"
        )
    if kind is Repeatability.REFUSES_STALE_TOKEN and not event.newer_token:
        return (
            f"{what}; a repeat would carry the same token as the first try, which may still be on "
            f"its way; {settle}"
        )
    if step.repeats >= _REPEATS_MOST:
        return f"{what}; it was repeated {step.repeats} times without an answer; {settle}"
    return None


def _why_not_here(state: State, step: Step, event: Probed, world: World) -> str | None:
    """Whoever takes over may be set up to act less than the one who intended the step."""
    if not only_observes(state, step, world, event.modes):
        return None
    return (
        f"{step.action} on {step.target} (step {step.step_id}) is in doubt and its effect is not "
        f"there; the mode is observe now, which performs nothing, so it is not repeated; look at "
        f"{step.target}, then run `holdfast settle` with what you saw"
    )


def _cannot_tell(state: State, step: Step, event: Probed, now: datetime) -> tuple[Command, ...]:
    if state.held:
        return ()
    if step.doubts > _PROBES_MOST:
        why = (
            f"{step.action} on {step.target} (step {step.step_id}) is in doubt and its target "
            f"can't be read: {event.result.evidence}; look at it, then run `holdfast settle`"
        )
        return (Write(drafts=hold_and_escalate(state, why, now, facts=_fact(step, event))),)
    return (_doubt(step, f"the probe could not tell: {event.result.evidence}"),)


def _fact(step: Step, event: Probed) -> dict[str, Any]:
    planes = [dict(each) for each in event.result.data.get("planes", ())]
    return {"step_id": step.step_id, "probe": event.result.evidence, "planes": planes}
