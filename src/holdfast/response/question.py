"""Puts a proposed step and what was just read into the guard's own terms."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from holdfast.incident import State, Step, StepStatus
from holdfast.kernel.actor import ActorKind
from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.clock import parse_at
from holdfast.kernel.reason import Reason
from holdfast.policy import (
    Approval,
    GuardInput,
    Hold,
    Impact,
    ModeInput,
    Origin,
    PastAction,
    Principal,
    Scope,
    TokenKind,
    Verdict,
    evaluate,
    open_freeze,
    read_charter,
    read_handoff,
)
from holdfast.response.events import Prepared
from holdfast.response.live_state import live_reasons, planes_by_name
from holdfast.response.modes import mode_input
from holdfast.response.store import LoggedAction
from holdfast.response.world import World
from holdfast.runbooks import evaluate_precondition

_CLOCK_AHEAD_S = 60.0
_NOT_PROVEN = frozenset(
    {StepStatus.INTENDED, StepStatus.IN_DOUBT, StepStatus.SUCCEEDED, StepStatus.UNVERIFIED}
)
_TOKEN_KINDS = {
    ActorKind.HUMAN.value: TokenKind.PERSON,
    ActorKind.AGENT.value: TokenKind.AGENT,
    ActorKind.SYSTEM.value: TokenKind.SERVICE,
}


def guard_verdict(
    state: State, step: Step, event: Prepared, now: datetime, world: World
) -> Verdict:
    """Ask the guard about one step."""
    service_name, region = split_instance(step.target)
    service = world.catalogue.services.get(service_name)
    regions = service.regions if service else ()
    log = [entry for entry in event.log if entry.key != step.idempotency_key]
    elsewhere = [e for e in log if not e.settled and e.incident_id != state.incident_id]
    past = (*(_past(entry, state, world) for entry in log), *by_hand(state, step, world))
    question = GuardInput(
        now=now,
        action=step.action,
        target=step.target,
        service=service_name,
        region=region,
        params=step.params,
        step_hash=step.hash,
        modes=_modes(state, step, event, world),
        impact=Impact[step.impact.upper()],
        least_impact=Impact[_least_impact(step, world).upper()],
        criteria=step.criteria,
        freeze=event.freeze,
        maintenance=event.maintenance,
        change_freeze=open_freeze(world.change_freezes, now, service=service_name, region=region),
        hold=_hold(state),
        unsettled=tuple(entry.incident_id for entry in elsewhere),
        acting=event.acting,
        origin=Origin.DIRECTIVE if _directed(step) else Origin.RUNBOOK,
        principal=_principal(step) if _directed(step) else None,
        approval=_approval(step, now),
        preconditions=_preconditions(state, step, event, now),
        attempts_used=_attempts_used(state, step),
        retries=_retries(state, step),
        last_action_at=max((each.at for each in past), default=None),
        cooldown_s=step.cooldown_s,
        recent=past,
        deployed_at=_deployed_at(service_name, event),
        pool_share=_pool_share(event.pre_image),
        rate=_rate(state, step, event),
        regions_touched=(region,) if region else regions,
        regions_in_flight=_regions_in_flight(state, step, event),
        service_regions=regions,
        limits=world.limits,
        overrides=tuple(
            each for each in event.overrides if each.override_id not in state.overrides_used
        ),
    )
    question = _as_directed(question, state, step, event, world)
    return evaluate(_under_command(question, state, world))


def _as_directed(
    question: GuardInput, state: State, step: Step, event: Prepared, world: World
) -> GuardInput:
    """Add what a directive is judged on beside: the live state, and what it undoes."""
    if not _directed(step):
        return question
    undone = state.step(step.undo_of) if step.undo_of else None
    since = state.charter["seq"] if state.charter else 0
    return replace(
        question,
        live=live_reasons(step, event, question.now, world),
        pool_share=None if step.undo_of else question.pool_share,
        undoes=step.undo_of,
        under_charter=undone is not None and undone.proposed_seq > since,
    )


def _under_command(question: GuardInput, state: State, world: World) -> GuardInput:
    """Add what people command: the charter, whose boundaries there are, a handoff under way."""
    return replace(
        question,
        charter=read_charter(state.charter) if state.charter else None,
        boundaries=world.boundaries,
        holders=world.holders,
        handoff=read_handoff(state.handoff) if state.handoff else None,
    )


def _past(entry: LoggedAction, state: State, world: World) -> PastAction:
    """Say what an earlier intent counts for. What another incident asked for is not told here."""
    added = 0
    if entry.action == "scale_up":
        mine = state.step(entry.step_id) if entry.incident_id == state.incident_id else None
        asked = mine.params.get("by") if mine is not None else None
        added = asked if isinstance(asked, int) else world.limits.instances_added_max
    return PastAction(action=entry.action, at=entry.at, added=added)


def by_hand(state: State, step: Step, world: World) -> tuple[PastAction, ...]:
    """Give what people did to this target themselves; it counts like any other action there."""
    here = (said for said in state.manual if _same_place(said["target"], step.target, world))
    return tuple(_deed(said, world) for said in here)


def _deed(said: Mapping[str, Any], world: World) -> PastAction:
    added = 0
    if said["action"] == "scale_up":
        asked = (said.get("params") or {}).get("by")
        added = asked if isinstance(asked, int) else world.limits.instances_added_max
    at = parse_at(said.get("done_at") or said["at"])
    return PastAction(action=said["action"], at=at, added=added, own=True)


def _same_place(one: str, other: str, world: World) -> bool:
    """Say whether two targets have a place in common: a service stands for all its regions."""
    (service, region), (name, where) = split_instance(one), split_instance(other)
    if service != name:
        return False
    entry = world.catalogue.services.get(service)
    alone = entry is not None and len(entry.regions) == 1
    return alone or region is None or where is None or region == where


def _pool_share(pre_image: Mapping[str, Any]) -> float | None:
    """Read what the action says it would leave out of a pool; what is no number can't be told."""
    if "pool_share" not in pre_image:
        return None
    share = pre_image["pool_share"]
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    return float(share) if is_number else math.nan


def _rate(state: State, step: Step, event: Prepared) -> tuple[PastAction, ...]:
    return tuple(
        PastAction(action=e.action, at=e.at, own=e.incident_id == state.incident_id)
        for e in event.rate
        if e.key != step.idempotency_key
    )


def _directed(step: Step) -> bool:
    return step.plan_index is None


def _modes(state: State, step: Step, event: Prepared, world: World) -> ModeInput:
    plan = None if _directed(step) else state.plan
    return mode_input(
        world,
        runbook=plan.runbook if plan else None,
        runbook_mode=plan.mode if plan else None,
        service=split_instance(step.target)[0],
        people=event.modes,
        incident_id=state.incident_id,
    )


def _preconditions(state: State, step: Step, event: Prepared, now: datetime) -> tuple[Reason, ...]:
    variables = _variables(state, step, event)
    return tuple(evaluate_precondition(text, variables, now=now) for text in step.when)


def _least_impact(step: Step, world: World) -> str:
    facts = world.actions.get(step.action)
    return facts.least_impact if facts else "high"


def _hold(state: State) -> Hold | None:
    if not state.held:
        return None
    return Hold(
        why=state.held["why"], since=parse_at(state.held["since"]), by=state.held["by"]["id"]
    )


def _principal(step: Step) -> Principal:
    kind = _TOKEN_KINDS[step.by["kind"]]
    scopes = frozenset({Scope.DIRECT}) if kind is TokenKind.PERSON else frozenset()
    return Principal(id=step.by["id"], kind=kind, scopes=scopes)


def _approval(step: Step, now: datetime) -> Approval | None:
    if step.approval is None:
        return None
    return Approval(
        by=step.approval["by"],
        kind=_TOKEN_KINDS[step.approval["kind"]],
        step_hash=step.approval["hash"],
        granted_at=_granted_at(step.approval, now),
        expires_at=step.approval_expires_at or now,
        used=step.idempotency_key is not None,
    )


def _granted_at(approval: Mapping[str, Any], now: datetime) -> datetime:
    """Give when it was approved. Another worker's clock may be a little ahead of this one's."""
    at = parse_at(approval["at"])
    return min(at, now) if (at - now).total_seconds() <= _CLOCK_AHEAD_S else at


def _variables(state: State, step: Step, event: Prepared) -> dict[str, Any]:
    checks: dict[str, Mapping[str, Any]] = {
        name: result.as_data() for name, result in event.checks.items()
    }
    readings = {r.series: r.samples[-1][1] for r in event.symptom if r.samples}
    readings |= {str(key): samples[-1][1] for key, samples in event.live.items() if samples}
    return {
        **step.variables,
        "incident": state.incident_id,
        "checks": checks,
        "readings": readings,
        "planes": planes_by_name(event.pre_image),
    }


def _attempts_used(state: State, step: Step) -> int:
    steps = state.steps_of_plan if step.plan_index is not None else state.steps
    same = [s for s in steps if s.plan_index == step.plan_index and s is not step]
    earlier = sum(s.attempt if s.intended_at is not None else s.attempt - 1 for s in same)
    return earlier + step.attempt - 1


def _regions_in_flight(state: State, step: Step, event: Prepared) -> tuple[str, ...]:
    """List where else steps on this service are under way or not verified yet."""
    service, _ = split_instance(step.target)
    steps = state.steps_since_reopening
    mine = [s.target for s in steps if s is not step and s.status in _NOT_PROVEN]
    others = [entry.target for entry in event.siblings_acting if not entry.settled]
    places = [split_instance(target) for target in (*mine, *others)]
    found = {region for name, region in places if name == service and region}
    return tuple(sorted(found - {split_instance(step.target)[1]}))


def _retries(state: State, step: Step) -> int:
    if step.plan_index is None or state.plan is None:
        return _attempts_used(state, step)
    return int(state.plan.steps[step.plan_index]["retries"])


def _deployed_at(service: str, event: Prepared) -> datetime | None:
    """Say when what would be rolled back went out: as the target itself says, else as a check."""
    stated = event.pre_image.get("deployed_at")
    if stated is not None:
        try:
            return parse_at(str(stated))
        except ValueError:
            return None  # it says when, and that can't be read: then the age is not known
    result = event.checks.get("recent_deployments")
    found = result.data.get("deployments", ()) if result else ()
    times = [parse_at(row["deployed_at"]) for row in found if row["service"] == service]
    return max(times, default=None)
