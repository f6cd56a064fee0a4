"""One incident as text for a terminal at 3 a.m.: the state first, then why."""

from collections.abc import Iterator, Mapping
from typing import Any

_TIMELINE_LINES = 12


def incident_text(view: Mapping[str, Any]) -> Iterator[str]:
    """Write an incident in the order in which somebody who was just woken needs it."""
    yield f"{view['incident_id']}  {view['phase'].upper()}  {view['severity']}  {view['title']}"
    yield from _standing(view)
    yield from _thinking(view)
    yield from _checks(view)
    yield from _steps(view)
    yield ""
    yield "Timeline (last lines; all of it: holdfast incident timeline)"
    for entry in view["timeline"][-_TIMELINE_LINES:]:
        yield f"  {entry['at'][11:19]}  #{entry['seq']:<3} {entry['text']}"


def _standing(view: Mapping[str, Any]) -> Iterator[str]:
    kind = view["incident_type"] or "not classified yet"
    yield f"  type {kind}, root {view['root_entity'] or 'unknown'}, since {view['started_at']}"
    if view["held"]:
        yield f"  HELD since {view['held']['since'][11:19]}: {view['held']['why']}"
    if view["escalated"]:
        level = view["escalated"]["level"]
        yield f"  escalated to level {level}, {view['pages']} pages delivered"
    if view["acknowledged"]:
        yield f"  acknowledged by {view['acknowledged']['by']}"
    if view["waiting_for"]:
        yield f"  waits for: {', '.join(view['waiting_for'])}"
    if view["ending"]:
        yield f"  ended: {view['ending']}"


def _thinking(view: Mapping[str, Any]) -> Iterator[str]:
    if not view["hypotheses"]:
        return
    yield ""
    yield "Hypotheses (inferred; E… are the facts they rest on)"
    for each in view["hypotheses"]:
        where = f"@{each['region']}" if each["region"] else ""
        against = f", against {','.join(each['contradicts'])}" if each["contradicts"] else ""
        cited = f"[for {','.join(each['supports'])}{against}]"
        yield (
            f"  {each['rank']}. {each['entity']}{where} {each['mechanism']} "
            f"({each['confidence']}, score {each['score']}): {each['text']} {cited}"
        )
    for missing in view["missing_context"]:
        yield f"  missing: {missing}"


def _checks(view: Mapping[str, Any]) -> Iterator[str]:
    if not view["checks"]:
        return
    yield ""
    yield "Checks"
    for name, result in view["checks"].items():
        yield f"  {name}: {result['status']}: {result['summary']}"


def _steps(view: Mapping[str, Any]) -> Iterator[str]:
    if not view["steps"]:
        return
    yield ""
    yield "Steps"
    for step in view["steps"]:
        what = f"{step['action']} on {step['target']} (attempt {step['attempt']})"
        yield f"  {step['step_id']} {step['status']}: {what}"
        if step["status"] == "awaiting_approval":
            yield (
                f"     approve with: holdfast approve {view['incident_id']} {step['step_id']} "
                f"--hash {step['hash']} --because TEXT"
            )
        if step["verification"]:
            yield f"     verification: {step['verification']['status']}"
