"""From open to a plan, a dismissal or an escalation.

The checks run first, always. Then the symptom is read afresh: a blip that is
over, with every check healthy, is dismissed with its reasons; anything else is
classified, ranked and matched with a runbook. No match is no guess: it holds.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.diagnosis import (
    Symptom,
    SymptomStatus,
    classify,
    gather,
    rank,
    read_symptom,
)
from holdfast.incident import Draft, Kind, Phase, State
from holdfast.kernel.catalogue import SignalKey, instance_name
from holdfast.kernel.errors import BadInputError
from holdfast.policy import effective_mode
from holdfast.response.commands import Command, ReadSymptom, RunChecks, WakeAt, Write
from holdfast.response.events import ChecksDone, SignalsSeen, SymptomRead
from holdfast.response.holding import hold_and_escalate
from holdfast.response.modes import mode_input
from holdfast.response.world import World
from holdfast.runbooks import Match, Runbook, match, render

_PATIENCE_WINDOWS = 3


def symptom_series(state: State) -> tuple[SignalKey, ...]:
    """List the series whose state says whether the trouble is still there."""
    return tuple(
        SignalKey(signal["service"], signal["region"], signal["signal"])
        for signal in state.signals.values()
    )


def window_s(world: World) -> float:
    """The window over which a symptom must be gone: never fewer than three samples."""
    return max(world.timing.sustain_s, 3 * world.timing.sampling_interval_s)


def start(state: State, now: datetime) -> tuple[Command, ...]:
    """Run every check as soon as the incident is open."""
    return (
        RunChecks(
            services=state.services,
            started_at=state.started_at or now,
            series=symptom_series(state),
        ),
    )


def on_signals(state: State, event: SignalsSeen) -> tuple[Command, ...]:
    """Attach what is new: another series, one that got worse, one that came back."""
    drafts = tuple(
        Draft(
            kind=Kind.SIGNAL_ATTACHED,
            data={"signal": dict(signal), "baselines": _baselines_of(signal, event.baselines)},
        )
        for signal in event.signals
        if _is_news(state, signal)
    )
    return (Write(drafts=drafts),) if drafts else ()


def _baselines_of(
    signal: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    name = signal["series"]
    return {name: dict(baselines[name])} if name in baselines else {}


def _is_news(state: State, signal: Mapping[str, Any]) -> bool:
    known = state.signals.get(signal["series"])
    if known is None:
        return signal["state"] == "bad" and not state.ended
    if signal["state"] != known["state"]:
        return signal["state"] == "returned" or not state.ended
    return bool(signal["severity"] == "critical" and known["severity"] != "critical")


def on_checks(state: State, event: ChecksDone, now: datetime, world: World) -> tuple[Command, ...]:
    """Record the results with the fresh reading of the symptom."""
    symptom = read_symptom(event.symptom, state.signals, now=now, window_s=window_s(world))
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
    if state.diagnosis_seq is not None and state.escalated:
        return (ReadSymptom(series=symptom_series(state)),)
    status = (state.symptom or {}).get("status")
    if status == SymptomStatus.PRESENT or _check_failed(state):
        return _diagnose(state, now, world)
    return (ReadSymptom(series=symptom_series(state)),)


def on_symptom(
    state: State, event: SymptomRead, now: datetime, world: World
) -> tuple[Command, ...]:
    """Act on a fresh reading of the symptom: gone, still there, or wait a sample."""
    symptom = read_symptom(event.symptom, state.signals, now=now, window_s=window_s(world))
    if symptom.status is SymptomStatus.ABSENT:
        return _gone(state, symptom, world)
    if state.phase is not Phase.DIAGNOSING:
        return (_look_again(now, world),)
    if state.escalated:
        return _diagnose(state, now, world)
    patience = timedelta(seconds=_PATIENCE_WINDOWS * window_s(world))
    if symptom.status is SymptomStatus.PRESENT or now - (state.opened_at or now) > patience:
        return _diagnose(state, now, world)
    return (_look_again(now, world),)


def _look_again(now: datetime, world: World) -> WakeAt:
    return WakeAt(at=now + timedelta(seconds=world.timing.sampling_interval_s))


def _gone(state: State, symptom: Symptom, world: World) -> tuple[Command, ...]:
    """The trouble ended before anything was done: a blip, or somebody else's repair."""
    window = f"{window_s(world):.0f} s"
    seen = symptom.sentence()
    if state.escalated or state.phase is Phase.PLANNED:
        why = f"every series is back in its normal range for {window} of fresh samples: {seen}"
        kind = Kind.RESOLVED
        data: dict[str, Any] = {"why": why, "by_step": None, "symptom": symptom.as_data()}
    else:
        why = (
            f"false alarm: no check found trouble and every series was back in its normal range "
            f"for {window}: {seen}"
        )
        kind, data = Kind.DISMISSED, {"why": why, "symptom": symptom.as_data()}
    return (Write(drafts=(Draft(kind=kind, data=data),)),)


def _check_failed(state: State) -> bool:
    return any(
        result["status"] == "down" and not result.get("error") for result in state.checks.values()
    )


def _diagnose(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    classification = classify(state.signals.values(), state.checks)
    evidence = gather(state.signals.values(), state.checks, world.check_entities)
    diagnosis = rank(evidence, world.catalogue, state.checks)
    cause = state.checks_seq
    drafts = [
        Draft(
            kind=Kind.CLASSIFIED,
            cause=cause,
            data={
                "incident_type": classification.incident_type,
                "reasons": [reason.as_data() for reason in classification.reasons],
            },
        ),
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
    drafts += _plan(state, classification.incident_type, root, now, world)
    return (Write(drafts=tuple(drafts)),)


def _plan(
    state: State,
    incident_type: str,
    root: Mapping[str, Any] | None,
    now: datetime,
    world: World,
) -> list[Draft]:
    entity = root["entity"] if root else state.services[0]
    service = world.catalogue.services.get(entity)
    labels = {"service": entity, "region": (root or {}).get("region") or ""}
    found = match(
        world.runbooks,
        incident_type,
        labels,
        state.checks,
        (entity, *state.services),
        preferred=service.runbooks if service else (),
    )
    if found.best is None or not found.best.steps:
        why = _no_plan(incident_type, entity, found)
        considered = Draft(kind=Kind.PLAN_CHOSEN, data=_considered(found, why))
        return [considered, *hold_and_escalate(state, why, now)]
    try:
        chosen = _chosen(found.best, found, state, root, world)
    except BadInputError as error:
        why = f"runbook {found.best.name!r} fits, but it can't be filled in: {error.message}"
        considered = Draft(kind=Kind.PLAN_CHOSEN, data=_considered(found, why))
        return [considered, *hold_and_escalate(state, why, now)]
    return [Draft(kind=Kind.PLAN_CHOSEN, data=chosen)]


def _no_plan(incident_type: str, entity: str, found: Match) -> str:
    if found.best is not None:
        return (
            f"runbook {found.best.name!r} fits {incident_type} on {entity} but has no executable "
            "step: a person has to follow it"
        )
    misses = "; ".join(
        f"{miss.runbook.name}: {', '.join(reason.text for reason in miss.reasons)}"
        for miss in found.near_misses
    )
    nearest = f" Nearest: {misses}." if misses else ""
    return f"no runbook fits {incident_type} on {entity}, and nothing is done on a guess.{nearest}"


def _considered(found: Match, why: str) -> dict[str, Any]:
    return {
        "runbook": None,
        "title": found.best.title if found.best else None,
        "read": found.best.name if found.best else None,
        "why": why,
        "reasons": [reason.as_data() for reason in found.reasons],
        "alternatives": [runbook.name for runbook in found.alternatives],
        "near_misses": [
            {"runbook": miss.runbook.name, "why_not": [r.sentence() for r in miss.reasons]}
            for miss in found.near_misses
        ],
    }


def _chosen(
    runbook: Runbook,
    found: Match,
    state: State,
    root: Mapping[str, Any] | None,
    world: World,
) -> dict[str, Any]:
    variables = step_variables(state, root)
    mode = effective_mode(
        mode_input(
            world, runbook=runbook.name, runbook_mode=runbook.mode, service=variables["entity"]
        )
    )
    steps = []
    for step in runbook.steps:
        rendered = render(step, variables)
        steps.append({**rendered.as_data(), "variables": variables})
    return {
        **_considered(found, why="; ".join(r.text for r in found.reasons if r.ok)),
        "runbook": runbook.name,
        "title": runbook.title,
        "version": runbook.version,
        "mode": mode.mode.name.lower(),
        "mode_reasons": [reason.as_data() for reason in mode.reasons],
        "steps": steps,
    }


def step_variables(state: State, root: Mapping[str, Any] | None) -> dict[str, Any]:
    """Name what a runbook's step may refer to."""
    entity = root["entity"] if root else state.services[0]
    region = root.get("region") if root else None
    return {
        "entity": entity,
        "region": region,
        "instance": instance_name(entity, region) if region else None,
        "incident": state.incident_id,
    }


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Keep NaN out of the ledger: it is no JSON."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in data.items()
    }
