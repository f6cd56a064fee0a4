"""Charters and handoffs, as people say them: names are checked before anything is asked.

A charter for somebody who has no token here, or a handoff that nobody can accept, would leave an
incident with nobody; so every person is looked up first.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from holdfast.app.advice import nearest
from holdfast.app.boundaries import boundaries_of, holders_of
from holdfast.app.build import world
from holdfast.app.desk import Desk
from holdfast.app.installation import Installation, load_installation
from holdfast.app.restarts_left import restarts_left
from holdfast.engine.standing import stops_on
from holdfast.escalation import packet
from holdfast.incident.commanding import SYSTEM_OWNER
from holdfast.incident.view import limits_used
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Scope, TokenKind, read_charter
from holdfast.response.viewing import packet_view, places_of
from holdfast.runbooks.durations import parse_duration

_PROTECTED = re.compile(r"(?P<action>[^:=\s]+):(?P<target>[^=\s]+)=(?P<who>[^:]+)(?::(?P<why>.*))?")


def charter_data(
    desk: Desk,
    *,
    commander: str,
    objective: str,
    allow: Sequence[str],
    protect: Sequence[str],
    expires: str,
    four_eyes: bool,
    because: str,
) -> dict[str, Any]:
    """Make the request for a charter. Raises BadInputError with the nearest name."""
    installation = load_installation(desk.directory)
    check_person(desk, installation, commander, field="commander")
    boundaries = [_boundary(text) for text in protect]
    for each in boundaries:
        check_person(desk, installation, each["authority"], field="protect")
    return {
        "commander": commander,
        "objective": objective,
        "allowed": _allowed(allow),
        "boundaries": boundaries,
        **_ending(expires),
        "four_eyes": four_eyes,
        "because": because,
    }


def _allowed(texts: Sequence[str]) -> list[dict[str, Any]]:
    allowed: dict[str, list[str]] = {}
    for text in texts:
        action, found, targets = text.partition(":")
        named = [target.strip() for target in targets.split(",") if target.strip()]
        if not found or not action.strip() or not named:
            raise BadInputError(
                f"--allow {text!r} names no action with its targets; write "
                "--allow restart_service:my-api@eu-west,my-api@us-east",
                field="allow",
            )
        allowed.setdefault(action.strip(), []).extend(named)
    return [
        {"action": action, "targets": list(dict.fromkeys(targets))}
        for action, targets in allowed.items()
    ]


def _boundary(text: str) -> dict[str, Any]:
    found = _PROTECTED.fullmatch(text.strip())
    if found is None:
        raise BadInputError(
            f"--protect {text!r} can't be read; write --protect failover_db:my-db=database-team "
            "(* is any action or target), and :why after it if you like",
            field="protect",
        )
    return {
        "action": found["action"],
        "target": found["target"],
        "authority": found["who"].strip(),
        "why": (found["why"] or "").strip(),
    }


def _ending(text: str) -> dict[str, Any]:
    """Read a duration, which counts from when it is asked for, or a moment."""
    with suppress(ValueError):
        return {"expires_s": parse_duration(text)}
    try:
        return {"expires_at": format_at(parse_at(text))}
    except ValueError:
        raise BadInputError(
            f"--expires {text!r:.80} is neither a duration nor a moment; write 2h, or "
            "2030-01-05T04:00Z",
            field="expires",
        ) from None


def check_person(desk: Desk, installation: Installation, who: str, *, field: str) -> None:
    """Raise BadInputError where nobody could speak under this name: a person's, or a contact's."""
    people = _people(desk)
    contacts = installation.catalogue.contacts
    if who in people:
        return
    if who not in contacts:
        known = nearest(who, [*people, *contacts])
        raise BadInputError(
            f"{who!r} is no person with a token here and no contact; {known}", field=field
        )
    if not set(contacts[who].members) & people:
        raise BadInputError(
            f"nobody speaks for {who!r}: none of its `members` in services.yaml is the name of a "
            "person's token that may direct; add one",
            field=field,
        )


def _people(desk: Desk) -> set[str]:
    now = desk.clock.now()
    return {
        token.name
        for token in desk.system.state().tokens.values()
        if token.kind == TokenKind.PERSON.value
        and Scope.DIRECT.value in token.scopes
        and not token.revoked
        and token.expires_at > now
    }


def check_successor(desk: Desk, who: str) -> None:
    """Raise BadInputError where nobody could accept a handoff; `holdfast` always can."""
    if who != SYSTEM_OWNER:
        check_person(desk, load_installation(desk.directory), who, field="to")


def current_packet(desk: Desk, incident_id: str) -> dict[str, Any]:
    """Make the takeover packet as it stands now, from the ledger and what it recorded last."""
    here = world(load_installation(desk.directory), {})
    state, head = desk.state(incident_id)
    records = desk.ledger.records(incident_id)
    now = desk.clock.now()
    stops = tuple(stops_on(desk.system.state(), here, places_of(state, here), now))
    return packet(packet_view(state, head, records, now=now, world=here, stops=stops))


def charter_view(desk: Desk, incident_id: str) -> dict[str, Any]:
    """Give the charter in force, the standing boundaries and what is left of the limits."""
    installation = load_installation(desk.directory)
    state, _ = desk.state(incident_id)
    standing = [
        {"action": b.action, "target": b.target, "authority": b.authority, "why": b.why}
        for b in boundaries_of(installation.config.boundaries)
    ]
    used = limits_used(state)
    limits = installation.limits
    charter = dict(state.charter) if state.charter else None
    return {
        "incident_id": incident_id,
        "charter": charter,
        "in_force": bool(charter) and read_charter(charter or {}).expires_at > desk.clock.now(),
        "commander": state.commander,
        "handoff": dict(state.handoff) if state.handoff else None,
        "standing_boundaries": standing,
        "authorities": {
            name: sorted(people) for name, people in holders_of(installation.catalogue).items()
        },
        "limits_used": used,
        "limits": {
            "actions_per_incident": limits.actions_per_incident,
            "restarts_per_target": limits.restarts_per_target,
            "instances_added_max": limits.instances_added_max,
        },
        "restarts_left": restarts_left(desk, installation, state),
        "actions_left": max(0, limits.actions_per_incident - sum(used.values())),
    }


def charter_lines(view: Mapping[str, Any]) -> list[str]:
    """Write a charter for a terminal."""
    charter = view["charter"]
    if charter is None:
        lines = [f"{view['incident_id']}: no charter is set; see `holdfast charter set --help`"]
    else:
        state = "in force" if view["in_force"] else "EXPIRED"
        lines = [
            f"{view['incident_id']}: {charter['commander']} commands ({state})",
            f"  objective  {charter['objective']}",
            f"  expires    {charter['expires_at']}",
            f"  set by     {charter['by']} at {charter['at']}: {charter['because']}",
            *(
                f"  allowed    {a['action']} on {', '.join(a['targets'])}"
                for a in charter["allowed"]
            ),
        ]
        if charter.get("four_eyes"):
            lines.append("  four eyes  whoever directs a step can't approve it")
    if view["handoff"]:
        handoff = view["handoff"]
        lines.append(f"  HANDED     to {handoff['to']} by {handoff['by']}; nobody accepted yet")
    protected = [*((charter or {}).get("boundaries") or ()), *view["standing_boundaries"]]
    lines += [f"  protected  {_protected(each, view['authorities'])}" for each in protected]
    lines.append(f"  left       {view['actions_left']} actions on this incident")
    lines += [
        f"  left       {count} restarts of {place}"
        for place, count in view["restarts_left"].items()
    ]
    lines += [f"  used       {what}: {count}" for what, count in view["limits_used"].items()]
    return lines


def _protected(each: Mapping[str, Any], authorities: Mapping[str, Sequence[str]]) -> str:
    people = authorities.get(each["authority"])
    who = f"{each['authority']} ({', '.join(people)})" if people else each["authority"]
    why = f": {each['why']}" if each.get("why") else ""
    return f"{each['action']} on {each['target']} is {who}'s{why}"
