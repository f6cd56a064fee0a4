"""What a takeover packet is read from: the incident, and what stands around it at that moment.

The ledger says what was done and decided; beside it stand the newest readings region by region, who
holds which authority, and how long each timer still runs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.diagnosis import SymptomReading, is_out, read_symptom
from holdfast.escalation import whom
from holdfast.incident import Record, State, StepStatus, full
from holdfast.kernel.catalogue import Contact, SignalKey, split_instance
from holdfast.kernel.clock import format_at, parse_at
from holdfast.policy import Boundary, boundary_covers
from holdfast.response import commanding
from holdfast.response.diagnosing import window_s
from holdfast.response.handing import successor_contacts
from holdfast.response.signals import judged_by, symptom_series
from holdfast.response.world import World

_READ, _RECORDED = "read", "recorded"
_ASKS_AUTHORITY = frozenset({StepStatus.BLOCKED, StepStatus.AWAITING_APPROVAL})


def packet_view(
    state: State,
    head: bytes,
    records: Sequence[Record],
    *,
    now: datetime,
    world: World,
    readings: Sequence[SymptomReading] | None = None,
    handoff: Mapping[str, Any] | None = None,
    stops: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Give everything that a packet tells. Without `readings` the last recorded ones are told."""
    view = full(state, head, records)
    if handoff is not None:
        view["handoff"] = dict(handoff)
    to = (view["handoff"] or {}).get("to")
    return {
        **view,
        "at": format_at(now),
        "regional_health": list(_health(state, now, world, readings)),
        "standing_boundaries": [_boundary(each, "standing") for each in world.boundaries],
        "authorities": {name: sorted(people) for name, people in world.holders.items()},
        "stops": [dict(each) for each in stops],
        "timers": [
            timer
            for timer in (*_timers(state, now, world, view["handoff"]), *_ends(stops, now))
            if timer["left_s"] > 0
        ],
        "successor": _successor(state, world, to),
        "limits": _limits(view["limits_used"], world),
    }


def places_of(state: State, world: World) -> tuple[tuple[str, str | None], ...]:
    """List where the incident is and what may be touched for it: services and their regions."""
    allowed = (state.charter or {}).get("allowed", ())
    targets = [step.target for step in state.steps] + [t for a in allowed for t in a["targets"]]
    found: dict[tuple[str, str | None], None] = {}
    for target in (*state.services, *targets):
        name, region = split_instance(target)
        service = world.catalogue.services.get(name)
        regions = service.regions if service and region is None else (region,)
        found.update({(name, each): None for each in regions or (None,)})
    return tuple(found)


def _ends(stops: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[dict[str, Any]]:
    for each in stops:
        if each["until"] is not None:
            what = f"{each['what']} of {each['scope']} ends"
            yield _timer(what, parse_at(each["until"]), now)


def health_series(state: State, world: World) -> tuple[SignalKey, ...]:
    """List the series that a packet tells: those of the symptom, and of every service concerned."""
    touched = (split_instance(step.target)[0] for step in state.steps)
    names = dict.fromkeys((*state.services, *touched))
    services = [world.catalogue.services[n] for n in names if n in world.catalogue.services]
    keys = (*symptom_series(state), *(key for service in services for key in service.series()))
    return tuple(dict.fromkeys(keys))


def _health(
    state: State, now: datetime, world: World, readings: Sequence[SymptomReading] | None
) -> Iterator[dict[str, Any]]:
    if readings is None:
        yield from _as_recorded(state)
        return
    ranges = judged_by(state)
    known = [reading for reading in readings if reading.series in ranges]
    symptom = read_symptom(known, ranges, now=now, window_s=window_s(world))
    for reading in readings:
        service, region, signal = _place(reading)
        facts = symptom.series.get(reading.series, {})
        at, value = reading.samples[-1] if reading.samples else (None, math.nan)
        yield {
            "service": service,
            "region": region,
            "signal": signal,
            "value": None if math.isnan(value) else value,
            "at": format_at(at) if at else None,
            "low": ranges.get(reading.series, {}).get("low"),
            "high": ranges.get(reading.series, {}).get("high"),
            "status": _STATUS.get(facts.get("status", ""), _by_itself(signal, value)),
            "from": _READ,
        }


_STATUS = {"present": "out_of_range", "absent": "normal", "unclear": "unknown"}


def _by_itself(signal: str, value: float) -> str:
    """Judge a series that has no range of its own: only `up` says something."""
    out = is_out(signal, value, {"signal": signal})
    if out is None:
        return "unknown" if math.isnan(value) else "no_range"
    return "out_of_range" if out else "normal"


def _place(reading: SymptomReading) -> tuple[str, str, str]:
    # A series is named `SIGNAL of SERVICE in REGION`.
    signal, _, rest = reading.series.partition(" of ")
    service, _, region = rest.rpartition(" in ")
    return service, region, signal


def _as_recorded(state: State) -> Iterator[dict[str, Any]]:
    symptom = state.looked or {}
    ranges = judged_by(state)
    for name, facts in symptom.get("series", {}).items():
        known = ranges.get(name, {})
        yield {
            "service": known.get("service"),
            "region": known.get("region"),
            "signal": known.get("signal"),
            "value": facts.get("value"),
            "at": symptom.get("at"),
            "low": known.get("low"),
            "high": known.get("high"),
            "status": _STATUS.get(facts.get("status", ""), "unknown"),
            "from": _RECORDED,
        }


def _boundary(each: Boundary, source: str) -> dict[str, Any]:
    return {
        "action": each.action,
        "target": each.target,
        "authority": each.authority,
        "why": each.why,
        "source": source,
    }


def _timers(
    state: State, now: datetime, world: World, handoff: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    if state.ended:
        return
    for step in state.steps:
        if step.status is StepStatus.AWAITING_APPROVAL and step.approval_expires_at:
            yield _timer(f"approval of {step.step_id} expires", step.approval_expires_at, now)
    if state.charter:
        yield _timer("the charter expires", parse_at(state.charter["expires_at"]), now)
    if handoff:
        yield _timer("the handoff escalates", parse_at(handoff["expires_at"]), now)
    elif commanding.waits(state):
        yield _timer(
            f"somebody else is called if {state.commander} says nothing",
            commanding.due_at(state, world),
            now,
        )
    yield from _cooldowns(state, now)


def _cooldowns(state: State, now: datetime) -> Iterator[dict[str, Any]]:
    ready: dict[str, datetime] = {}
    for step in state.steps:
        if step.intended_at is not None:
            since = step.ended_at or step.intended_at
            ready[step.target] = since + timedelta(seconds=step.cooldown_s)
    for target, at in ready.items():
        if at > now:
            yield _timer(f"the cooldown of {target} ends", at, now)


def _timer(what: str, at: datetime, now: datetime) -> dict[str, Any]:
    return {"what": what, "at": format_at(at), "left_s": round((at - now).total_seconds(), 1)}


def _successor(state: State, world: World, to: str | None) -> dict[str, Any]:
    """Say who is next and how they are reached: whom it is handed to, else whose word is needed,
    else who is on call.
    """
    if to is not None:
        why, contacts = "it is handed to them", successor_contacts(to, world)
    elif authority := _wanted_authority(state, world):
        to, why = authority, "a step that was refused is theirs"
        contacts = successor_contacts(authority, world)
    else:
        root = (state.root["entity"],) if state.root else ()
        found = whom(world.catalogue, (*root, *state.services), 1)
        why = "; ".join(reason.text for reason in found.reasons if reason.ok)
        contacts = found.contacts
    return {
        "who": to or (contacts[0].id if contacts else None),
        "why": why or "nobody is known",
        "contacts": [_contact(contact) for contact in contacts],
    }


def _wanted_authority(state: State, world: World) -> str | None:
    last = state.last_step
    if last is None or last.status not in _ASKS_AUTHORITY:
        return None
    refused = any(
        reason.get("rule") == "boundary" and not reason.get("ok")
        for reason in last.verdict.get("reasons", ())
    )
    own = (state.charter or {}).get("boundaries") or ()
    named = [Boundary(**{k: each[k] for k in ("action", "target", "authority")}) for each in own]
    for each in (*named, *world.boundaries):
        if refused and boundary_covers(each, action=last.action, target=last.target):
            return each.authority
    return None


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "role": contact.role,
        "by": list(contact.page),
        "members": list(contact.members),
    }


def _limits(used: Mapping[str, int], world: World) -> dict[str, Any]:
    most = world.limits.actions_per_incident
    done = sum(used.values())
    return {"actions_per_incident": most, "actions_used": done, "actions_left": max(0, most - done)}
