"""Did it help? Decided only by the criteria that were written before the action.

Samples must be newer than the action, from every region, over the whole sustain
window. Anything else than a clear yes holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, Phase, State, Step, StepStatus
from holdfast.kernel.catalogue import UP, SignalForm, SignalKey, split_instance
from holdfast.kernel.reason import Reason
from holdfast.response.commands import Command, Confirm, ReadSamples, WakeAt, Write
from holdfast.response.events import Confirmed, SamplesRead
from holdfast.response.holding import hold_and_escalate
from holdfast.response.world import World
from holdfast.verification import (
    Expectation,
    Span,
    Status,
    Verdict,
    default_deadline,
    parse_expectation,
    verify,
)

_TO_VERIFY = frozenset({StepStatus.SUCCEEDED, StepStatus.UNVERIFIED})
_CONTEXT_SAMPLES = 3
# A sample is judged soon after it came: recovery is not proven later than it could be.
_LOOKS_PER_SAMPLE = 8
_SPANS = {
    SignalForm.GAUGE: Span.MOMENT,
    SignalForm.RATE: Span.INTERVAL,
    SignalForm.RATIO: Span.INTERVAL,
    SignalForm.MEAN: Span.INTERVAL,
}


def go_on(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Read the samples that the criteria of the last step name."""
    step = _current(state)
    if step is None:
        return ()
    since = (step.ended_at or now) - timedelta(
        seconds=_CONTEXT_SAMPLES * world.timing.sampling_interval_s
    )
    series = tuple(
        SignalKey(service, region, expectation.signal)
        for expectation in _expectations(step)
        for service, regions in _regions((expectation,), step, world).items()
        for region in regions
    )
    return (ReadSamples(step_id=step.step_id, series=series, since=since),)


def _current(state: State) -> Step | None:
    return next((s for s in reversed(state.steps) if s.status in _TO_VERIFY), None)


def _expectations(step: Step) -> list[Expectation]:
    service = split_instance(step.target)[0]
    return [parse_expectation(text, service=service) for text in step.criteria]


def _regions(
    expectations: tuple[Expectation, ...] | list[Expectation], step: Step, world: World
) -> Mapping[str, tuple[str, ...]]:
    """Every region of each service named: a region that says nothing is not a good one."""
    names = {e.service or split_instance(step.target)[0] for e in expectations}
    services = world.catalogue.services
    return {name: services[name].regions if name in services else () for name in sorted(names)}


def on_samples(
    state: State, event: SamplesRead, now: datetime, world: World
) -> tuple[Command, ...]:
    """Write the verdict once there is one; look again at the next sample until then."""
    step = _to_verify(state, event.step_id)
    if step is None:
        return ()
    verdict = _judge(state, step, event, now, world)
    if not verdict.final:
        pause_s = world.timing.sampling_interval_s / _LOOKS_PER_SAMPLE
        return (WakeAt(at=now + timedelta(seconds=pause_s)),)
    if verdict.met and step.pre_image.get("planes") and step.undo_of is None:
        # Good readings do not show whether every control plane is as the step meant it.
        return (Confirm(step_id=step.step_id, verdict=verdict),)
    return _recorded(state, step, verdict, now, world)


def on_confirmed(
    state: State, event: Confirmed, now: datetime, world: World
) -> tuple[Command, ...]:
    """Write a good verdict, unless a control plane is not as the step meant it: that is mixed.

    Where all that is missing is still under way, it is looked at again until the time is over.
    """
    step = _to_verify(state, event.step_id)
    if step is None:
        return ()
    planes = [each for each in event.result.data.get("planes", ()) if each.get("lasting", True)]
    missing = [each for each in planes if not each.get("reached")]
    comes = bool(missing) and all(each.get("under_way") for each in missing)
    if comes and now < _deadline(state, step, now, world):
        return (WakeAt(at=now + timedelta(seconds=world.timing.sampling_interval_s)),)
    told = tuple(_plane_reason(each, step) for each in planes)
    off = any(not reason.ok for reason in told)
    status = Status.MIXED if off else event.verdict.status
    verdict = replace(event.verdict, status=status, reasons=(*event.verdict.reasons, *told))
    return _recorded(state, step, verdict, now, world, planes=planes)


def _plane_reason(plane: Mapping[str, Any], step: Step) -> Reason:
    reached = bool(plane.get("reached"))
    word = "is as intended" if reached else "is not as intended"
    return Reason(
        rule="control plane",
        ok=reached,
        text=f"{plane['plane']} {word}",
        reading=str(plane.get("now")),
        threshold=str(plane.get("intended")),
        source=step.target,
    )


def _to_verify(state: State, step_id: str) -> Step | None:
    """Give the step if it is the one to be verified, and nothing stands in the way."""
    step = state.step(step_id)
    if step is None or step.status not in _TO_VERIFY or state.held or state.unsettled:
        return None
    if state.phase is not Phase.VERIFYING or step is not _current(state):
        return None
    return step


def _recorded(
    state: State,
    step: Step,
    verdict: Verdict,
    now: datetime,
    world: World,
    *,
    planes: Sequence[Mapping[str, Any]] = (),
) -> tuple[Command, ...]:
    more = verdict.met and _more_to_do(state, step)
    data = {**verdict.as_data(), "step_id": step.step_id, "more_to_do": more}
    if planes:
        data["planes"] = [dict(each) for each in planes]
    recorded = Draft(kind=Kind.VERIFICATION_RECORDED, cause=step.intended_seq, data=data)
    return (Write(drafts=(recorded, *_after(state, step, verdict, now, world, more=more))),)


def _deadline(state: State, step: Step, now: datetime, world: World) -> datetime:
    ended_at = step.ended_at or now
    return default_deadline(
        _expectations(step),
        step_ended_at=max(ended_at, state.resumed_at or ended_at),
        sampling_interval_s=world.timing.sampling_interval_s,
        sustain_min_s=world.timing.sustain_s,
    )


def _judge(state: State, step: Step, event: SamplesRead, now: datetime, world: World) -> Verdict:
    expectations = _expectations(step)
    timing = world.timing
    return verify(
        expectations,
        event.samples,
        baselines=_baselines(state),
        step_ended_at=step.ended_at or now,
        now=now,
        sampling_interval_s=timing.sampling_interval_s,
        sustain_min_s=timing.sustain_s,
        regions=_regions(expectations, step, world),
        deadline=_deadline(state, step, now, world),
        spans={key: _span(key, world) for key in {sample.key for sample in event.samples}},
    )


def _span(key: SignalKey, world: World) -> Span:
    """Say what a sample of a series speaks for, where that is known."""
    if key.signal == UP:
        return Span.MOMENT
    service = world.catalogue.services.get(key.service)
    spec = service.signals.get(key.signal) if service else None
    return _SPANS.get(spec.form, Span.UNKNOWN) if spec else Span.UNKNOWN


def _baselines(state: State) -> dict[SignalKey, float]:
    return {
        SignalKey(facts["service"], facts["region"], facts["signal"]): float(facts["expected"])
        for facts in state.baselines.values()
    }


def _more_to_do(state: State, step: Step) -> bool:
    if step.plan_index is None or state.plan is None:
        return True
    return step.plan_index + 1 < len(state.plan.steps)


def _all_regions(step: Step, world: World) -> list[str]:
    found = _regions(_expectations(step), step, world)
    return sorted({region for regions in found.values() for region in regions})


def _after(
    state: State, step: Step, verdict: Verdict, now: datetime, world: World, *, more: bool
) -> tuple[Draft, ...]:
    if more:
        return ()
    if verdict.met:
        places = ", ".join(_all_regions(step, world))
        why = (
            f"recovery is proven: after {step.action} on {step.target} every criterion held for "
            f"{verdict.window_s:.0f} s on fresh samples in {places}{_at_second_sight(step)}"
        )
        data = {"why": why, "by_step": step.step_id}
        return (Draft(kind=Kind.RESOLVED, data=data),)
    why = (
        f"{step.action} on {step.target} was done, but recovery is not proven: {verdict.sentence()}"
    )
    return hold_and_escalate(state, why, now)


def _at_second_sight(step: Step) -> str:
    """A step that was not proven at first may not be what helped in the end."""
    if step.status is not StepStatus.UNVERIFIED:
        return ""
    earlier = step.verification.get("status")
    return f"; the first verdict was {earlier}, so something else may have helped since"
