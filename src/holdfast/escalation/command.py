"""Who commands, by what charter, inside whose boundaries, and who is next.

What is protected is listed with the people who may answer for it, so that a successor asks the
right ones instead of going round them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.escalation.view import View, mapping_of, maps_of, text_of, texts_of


def command_of(view: View) -> dict[str, Any]:
    """Gather the charter, the boundaries and a handoff under way."""
    charter, handoff = mapping_of(view, "charter"), mapping_of(view, "handoff")
    return {
        "commander": text_of(view.get("commander")) or None,
        "last_heard_at": view.get("commander_seen_at"),
        "objective": text_of(charter.get("objective")) or None,
        "charter": _charter(view, charter) if charter else None,
        "boundaries": list(_boundaries(view, charter)),
        "handoff": _handoff(handoff) if handoff else None,
        "asks_for_takeover": bool(view.get("asks_for_takeover")),
    }


def _charter(view: View, charter: View) -> dict[str, Any]:
    at, expires_at = view.get("at"), charter.get("expires_at")
    return {
        "objective": text_of(charter.get("objective")),
        "allowed": [
            {"action": each.get("action"), "targets": texts_of(each, "targets")}
            for each in maps_of(charter, "allowed")
        ],
        "expires_at": expires_at,
        # Both are RFC 3339 in UTC, so their texts sort as their times do.
        "expired": str(expires_at) <= str(at) if at and expires_at else None,
        "four_eyes": bool(charter.get("four_eyes")),
        "set_by": charter.get("by"),
        "set_at": charter.get("at"),
        "because": text_of(charter.get("because")),
    }


def _boundaries(view: View, charter: View) -> Iterator[dict[str, Any]]:
    people: Mapping[str, Any] = mapping_of(view, "authorities")
    own = [{**each, "source": "charter"} for each in maps_of(charter, "boundaries")]
    for each in (*own, *maps_of(view, "standing_boundaries")):
        authority = text_of(each.get("authority"))
        yield {
            "action": text_of(each.get("action")),
            "target": text_of(each.get("target")),
            "authority": authority,
            "people": texts_of(people, authority),
            "why": text_of(each.get("why")),
            "source": each.get("source"),
        }


def _handoff(handoff: View) -> dict[str, Any]:
    names = ("to", "by", "at", "expires_at")
    said = {name: text_of(handoff.get(name)) for name in names}
    return {**said, "because": text_of(handoff.get("because"))}


def last_directive(view: View) -> dict[str, Any] | None:
    """Give the last step that a person directed, with their words."""
    said = mapping_of(view, "directive")
    if not said:
        return None
    steps = [
        step
        for step in maps_of(view, "steps")
        if (step.get("action"), step.get("target")) == (said.get("action"), said.get("target"))
    ]
    last = steps[-1] if steps else {}
    return {
        "action": said.get("action"),
        "target": said.get("target"),
        "by": said.get("by"),
        "at": said.get("at"),
        "because": text_of(said.get("because")),
        "step_id": last.get("step_id"),
        "standing": last.get("standing"),
    }


def successor_of(view: View) -> dict[str, Any]:
    """Say who is next and how they are reached."""
    found = mapping_of(view, "successor")
    return {
        "who": text_of(found.get("who")) or None,
        "why": text_of(found.get("why")),
        "contacts": [
            {
                "name": text_of(each.get("name")),
                "role": text_of(each.get("role")),
                "by": texts_of(each, "by"),
                "members": texts_of(each, "members"),
            }
            for each in maps_of(found, "contacts")
        ],
    }
