"""Which runbook fits, and its steps filled in for this incident.

A runbook that can't be told from another, has no step, or can't be filled in is no plan: nothing
is done on a guess, the incident is held and a person called.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.catalogue import instance_name
from holdfast.kernel.errors import BadInputError
from holdfast.policy import effective_mode
from holdfast.response.holding import hold_and_escalate
from holdfast.response.modes import mode_input
from holdfast.response.signals import alert_labels
from holdfast.response.world import World
from holdfast.runbooks import Match, Runbook, match, render


def fitting(
    state: State, incident_type: str, root: Mapping[str, Any] | None, world: World
) -> Match:
    """Match the runbooks with what was classified, and with what seems to be the cause."""
    entity = root["entity"] if root else state.services[0]
    service = world.catalogue.services.get(entity)
    labels = {"service": entity, "region": (root or {}).get("region") or ""}
    return match(
        world.runbooks,
        incident_type,
        labels,
        state.checks,
        (entity, *state.services),
        preferred=service.runbooks if service else (),
        alerts=alert_labels(state),
    )


def plan(
    state: State,
    found: Match,
    incident_type: str,
    root: Mapping[str, Any] | None,
    now: datetime,
    world: World,
) -> list[Draft]:
    """Choose the plan; where there is none, hold and call a person with the reason."""
    entity = root["entity"] if root else state.services[0]
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
    nearest = f"; nearest: {misses}" if misses else ""
    if found.alternatives:
        tied = "; ".join(reason.text for reason in found.reasons)
        return f"no runbook for {incident_type} on {entity} can be told from the others: {tied}"
    return f"no runbook fits {incident_type} on {entity}, and nothing is done on a guess{nearest}"


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
