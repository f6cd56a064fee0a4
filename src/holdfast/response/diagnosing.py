"""From open to a plan, a dismissal or an escalation.

The checks run first, always. Then the symptom is read afresh: a blip that is
over, with every check healthy, is dismissed with its reasons; anything else is
classified, ranked and matched with a runbook. No match is no guess: it holds.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.diagnosis import (
    UNKNOWN,
    Classification,
    Symptom,
    SymptomStatus,
    classify,
    gather,
    rank,
    read_symptom,
    unhealthy,
)
from holdfast.incident import Draft, Kind, Phase, State, StepStatus
from holdfast.kernel.clock import parse_at
from holdfast.kernel.reason import Reason
from holdfast.response import choosing, commanding
from holdfast.response.commands import Command, ReadSymptom, RunChecks, WakeAt, Write
from holdfast.response.events import ChecksDone, SignalsSeen, SymptomRead
from holdfast.response.flapping import flapping, left_to_a_person
from holdfast.response.holding import close_open_step, hold_and_escalate, open_step
from holdfast.response.modes import only_shown
from holdfast.response.signals import judged_by, news, symptom_series
from holdfast.response.windows import waits_for_window
from holdfast.response.world import World

_PATIENCE_WINDOWS = 3
_UNCLEAR_PATIENCE = 3
_SETTLED_SAMPLES, _SETTLED_S_MAX = 3, 10.0
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BEFORE_A_PLAN = frozenset({Phase.OPEN, Phase.REOPENED, Phase.DIAGNOSING})


def window_s(world: World) -> float:
    """The window over which a symptom must be gone: never fewer than three samples."""
    return max(world.timing.sustain_s, 3 * world.timing.sampling_interval_s)


def start(state: State, now: datetime) -> tuple[Command, ...]:
    """Run every check as soon as the incident is open."""
    return (
        RunChecks(
            services=state.services,
            started_at=state.began_at or now,
            series=symptom_series(state),
        ),
    )


def on_signals(state: State, event: SignalsSeen) -> tuple[Command, ...]:
    """Attach what is new: another series, one that got worse, one that came back."""
    drafts = news(state, event.signals, event.baselines)
    return (Write(drafts=drafts),) if drafts else ()


def on_checks(state: State, event: ChecksDone, now: datetime, world: World) -> tuple[Command, ...]:
    """Record the results with the fresh reading of the symptom."""
    if state.phase not in _BEFORE_A_PLAN:
        return ()
    symptom = read_symptom(event.symptom, judged_by(state), now=now, window_s=window_s(world))
    draft = Draft(
        kind=Kind.CHECKS_RECORDED,
        data={
            "purpose": "diagnosis",
            "results": {name: result.as_data() for name, result in event.results.items()},
            "symptom": symptom.as_data(),
        },
    )
    return (Write(drafts=(draft,)),)


def go_on(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Diagnose, or look again when it can't be told yet whether the symptom is there."""
    if _checks_are_old(state, now, world):
        return start(state, now)
    status = (state.symptom or {}).get("status")
    if status == SymptomStatus.PRESENT or _check_failed(state):
        return _diagnose(state, now, world)
    if status == SymptomStatus.ABSENT:
        return _over(state, now, world)
    return (ReadSymptom(series=symptom_series(state)),)


def patience(world: World) -> timedelta:
    """How long an unclear symptom is waited for before a person is called."""
    return timedelta(seconds=_PATIENCE_WINDOWS * window_s(world))


def _checks_are_old(state: State, now: datetime, world: World) -> bool:
    """A person who resumes was promised that the live state is read anew."""
    if state.symptom is None or state.resumed_seq > (state.checks_seq or 0):
        return True
    return now - parse_at(state.symptom["at"]) > patience(world)


def on_symptom(
    state: State, event: SymptomRead, now: datetime, world: World
) -> tuple[Command, ...]:
    """Act on a fresh reading of the symptom: gone, still there, or wait a sample."""
    if state.held or state.unsettled or state.phase not in {Phase.DIAGNOSING, Phase.PLANNED}:
        return ()
    symptom = read_symptom(event.symptom, judged_by(state), now=now, window_s=window_s(world))
    if state.phase is Phase.PLANNED:
        return _in_plan(state, symptom, now, world)
    if symptom.status is SymptomStatus.ABSENT:
        # Only checks taken in calm can say that there was nothing.
        return start(state, now)
    began = (state.opened_at, state.reopened_at, state.resumed_at, _LONG_AGO)
    since = max(at for at in began if at)
    if symptom.status is SymptomStatus.PRESENT or now - since > patience(world):
        return _diagnose(state, now, world)
    return (_look_again(now, world),)


def _in_plan(state: State, symptom: Symptom, now: datetime, world: World) -> tuple[Command, ...]:
    """With nothing left to do, a trouble that stays is a person's."""
    if commanding.waits(state):
        return _under_command(state, symptom, now, world)
    if symptom.status is SymptomStatus.ABSENT:
        return _resolved(state, symptom.sentence(), symptom.as_data(), world)
    last = state.last_step
    ended_at = last.ended_at or last.proposed_at if last else None
    since = max(at for at in (state.resumed_at, ended_at, _LONG_AGO) if at)
    present = symptom.status is SymptomStatus.PRESENT
    # What can't be told yet is given more time than what is plainly still there.
    limit = patience(world) * (1 if present else _UNCLEAR_PATIENCE)
    told = last is not None and (only_shown(last) or waits_for_window(last))
    if told or open_step(state) is not None or now - since <= limit:
        return (_look_again(now, world),)
    still = "is still there" if present else "can't be ruled out"
    why = (
        f"nothing is left to do by the plan and the trouble {still}: {symptom.sentence()}; "
        "direct a step, or repair it and resume"
    )
    return (Write(drafts=hold_and_escalate(state, why, now)),)


def _under_command(
    state: State, symptom: Symptom, now: datetime, world: World
) -> tuple[Command, ...]:
    """The commander says what is next, and that it is over: whatever readings say meanwhile."""
    due = commanding.due_at(state, world)
    if now < due:
        return (WakeAt(at=min(due, _look_again(now, world).at)),)
    if symptom.status is SymptomStatus.ABSENT:
        return _resolved(state, symptom.sentence(), symptom.as_data(), world)
    return (Write(drafts=commanding.call_for_another(state, now)),)


def _look_again(now: datetime, world: World) -> WakeAt:
    return WakeAt(at=now + timedelta(seconds=world.timing.sampling_interval_s))


def _over(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """The trouble ended before anything was done: a blip, or somebody else's repair."""
    symptom = state.symptom or {}
    seen = "; ".join(facts["text"] for facts in symptom["series"].values())
    if state.escalated:
        return _resolved(state, seen, symptom, world)
    if unhealthy(state.checks) or flapping(state, now, world):
        return _diagnose(state, now, world)
    if state.reopenings or _acted(state):
        return _resolved(state, seen, symptom, world)
    blind = [name for name, result in state.checks.items() if result["status"] == "unknown"]
    beside = f" (nothing to read for: {', '.join(blind)})" if blind else ""
    why = (
        f"false alarm: no check found trouble{beside} and every series was in its normal range "
        f"for {window_s(world):.0f} s: {seen}"
    )
    if (state.follows or {}).get("phase") == Phase.DISMISSED:
        again = f"{_follows(state)}, so a person has to look before it is dismissed again; {why}"
        return (Write(drafts=hold_and_escalate(state, again, now)),)
    draft = Draft(kind=Kind.DISMISSED, data={"why": why, "symptom": dict(symptom)})
    return (Write(drafts=(draft,)),)


def _acted(state: State) -> bool:
    """Say whether anything was done: what ended after that was no false alarm."""
    return bool(state.manual) or any(step.intended_at for step in state.steps)


def _follows(state: State) -> str:
    earlier = state.follows or {}
    return f"the same services had {earlier['incident_id']}, dismissed at {earlier['ended_at']}"


def _resolved(
    state: State, seen: str, symptom: Mapping[str, Any], world: World
) -> tuple[Command, ...]:
    """End it on fresh readings, and say honestly whose doing that was."""
    steps = state.steps_since_reopening
    done = [step for step in steps if step.status is StepStatus.VERIFIED]
    tried = [step for step in steps if step.intended_at is not None]
    if done:
        whose = f"step {done[-1].step_id} is verified"
    elif tried:
        names = ", ".join(dict.fromkeys(step.step_id for step in tried))
        whose = f"no step is proven to have done it ({names} did not succeed)"
    else:
        whose = "nothing was done by Holdfast; it ended by itself or by somebody's hand"
    troubled = unhealthy(state.checks)
    beside = f"; not healthy when last checked: {', '.join(troubled)}" if troubled else ""
    why = (
        f"every series is back in its normal range for {window_s(world):.0f} s of fresh samples, "
        f"and {whose}: {seen}{beside}"
    )
    data = {
        "why": why,
        "by_step": done[-1].step_id if done else None,
        "symptom": dict(symptom),
    }
    left = close_open_step(state, "the trouble is over, so the step is not needed any more")
    return (Write(drafts=(*left, Draft(kind=Kind.RESOLVED, data=data))),)


def _check_failed(state: State) -> bool:
    return any(
        result["status"] == "down" and not result.get("error") for result in state.checks.values()
    )


def _diagnose(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    classification = classify(state.signals.values(), state.checks)
    evidence = gather(state.signals.values(), state.checks, world.check_entities, state.changes)
    diagnosis = rank(evidence, world.catalogue, state.checks)
    cause = state.checks_seq
    drafts = [
        Draft(kind=Kind.CLASSIFIED, cause=cause, data=_type_of(state, classification)),
        Draft(
            kind=Kind.HYPOTHESES_RANKED,
            cause=cause,
            data={
                "hypotheses": [h.as_data() for h in diagnosis.hypotheses],
                "evidence": [_plain(e.as_data()) for e in evidence],
                "missing_context": list(diagnosis.missing_context),
            },
        ),
    ]
    root = diagnosis.hypotheses[0].as_data() if diagnosis.hypotheses else None
    found = choosing.fitting(state, classification.incident_type, root, world)
    if found.best is None and (wait := _until_settled(state, now, world)):
        return wait
    if state.commander is not None:
        drafts.append(commanding.directed_plan(state.commander))
    elif again := flapping(state, now, world):
        drafts += left_to_a_person(state, again, now)
    else:
        drafts += choosing.plan(state, found, classification.incident_type, root, now, world)
    return (Write(drafts=tuple(drafts)),)


def _type_of(state: State, now: Classification) -> dict[str, Any]:
    """What an incident was does not become unknown because nothing of it shows any more: it was
    handed back, say, after people had mended most of it. A plan is chosen by what shows now.
    """
    reasons = [reason.as_data() for reason in now.reasons]
    before = state.incident_type
    if now.incident_type != UNKNOWN or before in {None, UNKNOWN}:
        return {"incident_type": now.incident_type, "reasons": reasons}
    text = f"nothing of it shows now; the incident stays what it was, {before}"
    reasons.append(Reason(rule="classify", ok=True, text=text).as_data())
    return {"incident_type": before, "reasons": reasons}


def _until_settled(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Give a picture that is seconds old time to become whole before a person is woken for it.

    What is declared by limits often shows a moment after what follows from it. Once it has
    settled, the checks are run anew and what they say then counts.
    """
    since = max(at for at in (state.opened_at, state.reopened_at, _LONG_AGO) if at)
    pause_s = min(_SETTLED_SAMPLES * world.timing.sampling_interval_s, _SETTLED_S_MAX)
    settled_at = since + timedelta(seconds=pause_s)
    if now < settled_at:
        return (WakeAt(at=settled_at),)
    checked_at = parse_at(state.symptom["at"]) if state.symptom else settled_at
    return () if checked_at >= settled_at or now - since > patience(world) else start(state, now)


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Keep NaN out of the ledger: it is no JSON."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in data.items()
    }
