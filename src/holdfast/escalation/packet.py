"""The takeover packet: what an engineer would have gathered before being woken.

Read from the JSON of one incident and nothing else. Facts (what was read, by whom, when) stand
apart from inferences, and what is missing is listed rather than left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.escalation.applied import (
    control_planes,
    do_not_repeat,
    partly_applied,
    reversible,
    steps_of,
)
from holdfast.escalation.command import command_of, last_directive, successor_of
from holdfast.escalation.next_step import OVER, next_safe_step
from holdfast.escalation.view import View, list_of, mapping_of, maps_of, number_of, text_of

VERSION = 2
TIMELINE_TAIL = 15

# A healthy check is listed with the checks, and one that could not look is missing context.
_NO_FACT = frozenset({"healthy", "unknown"})

# What a packet is read from; each that is absent or empty is named as missing context.
_WANTED = (
    ("checks", "no check has answered"),
    ("hypotheses", "no hypothesis was ranked: the cause is open"),
    ("timeline", "the timeline was not handed over"),
    (
        "head_hash",
        "the ledger's head was not handed over: this can't be compared with it",
    ),
)


def packet(view: View) -> dict[str, Any]:
    """Gather the packet from what `packet_view` gives; what is absent is named."""
    steps = steps_of(view)
    planes = control_planes(view, steps)
    partly = partly_applied(planes)
    command = command_of(view)
    ids = [text_of(step.get("step_id")) for step in maps_of(view, "steps")]
    made = {
        "version": VERSION,
        **_about(view),
        "why": list(_why(view)),
        "held": _held(view),
        "waiting_for": list(list_of(view, "waiting_for")),
        "last_directive": last_directive(view),
        "last_step": ids[-1] if ids else None,
        "command": command,
        "steps": steps,
        "control_planes": planes,
        "partly_applied": partly,
        "blocked_next": [_blocked(step) for step in steps["blocked"]],
        "reversible": reversible(steps),
        "do_not_repeat": do_not_repeat(view, steps, partly),
        "stops": [_stop(each) for each in maps_of(view, "stops")],
        "leave_alone": list(_leave_alone(view, steps, partly, command)),
        "open_approvals": [_approval(s) for s in steps["pending"] if s["expires_at"]],
        "timers": [_timer(each) for each in maps_of(view, "timers")],
        "limits_used": dict(mapping_of(view, "limits_used")),
        "limits": dict(mapping_of(view, "limits")),
        "regional_health": [_health(row) for row in maps_of(view, "regional_health")],
        "successor": successor_of(view),
        **_known(view),
        "timeline": [_entry(each) for each in maps_of(view, "timeline")[-TIMELINE_TAIL:]],
        "ledger": {"seq": view.get("seq"), "head_hash": view.get("head_hash")},
    }
    made["next_safe_step"] = next_safe_step(made)
    made["next"] = list(dict.fromkeys(_next(view, made)))
    return made


def _about(view: View) -> dict[str, Any]:
    return {
        "incident_id": text_of(view.get("incident_id")),
        "at": view.get("at"),
        "title": text_of(view.get("title")) or "untitled incident",
        "severity": view.get("severity") or "unknown",
        "phase": text_of(view.get("phase")) or "unknown",
        "mode": view.get("mode"),
        "since": view.get("started_at") or view.get("opened_at"),
        "opened_at": view.get("opened_at"),
        "incident_type": view.get("incident_type"),
        "services": list(list_of(view, "services")),
        "regions": list(list_of(view, "regions")),
        "root_entity": view.get("root_entity"),
        "owner": view.get("owner"),
    }


def _known(view: View) -> dict[str, Any]:
    """What is known, and what is only believed."""
    return {
        "facts": list(_facts(view)),
        "inferences": [_inference(each) for each in maps_of(view, "hypotheses")],
        "evidence": list(_evidence(view)),
        "checks": list(_checks(view)),
        "missing_context": list(_missing(view)),
        "runbooks": list(_runbooks(view)),
    }


def _held(view: View) -> dict[str, Any] | None:
    held = mapping_of(view, "held")
    if not held:
        return None
    by = mapping_of(held, "by").get("id")
    return {"why": text_of(held.get("why")), "since": held.get("since"), "by": by}


def _blocked(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: step[name] for name in ("step_id", "action", "target")},
        "why": [reason["text"] for reason in step["against"]] or [step["why"]],
        "authority": _authority(step),
    }


def _approval(step: Mapping[str, Any]) -> dict[str, Any]:
    names = ("step_id", "action", "target", "hash", "expires_at", "approved_by")
    return {**{name: step[name] for name in names}, "authority": _authority(step)}


def _authority(step: Mapping[str, Any]) -> str | None:
    sources = [r["source"] for r in step["against"] if r["rule"] == "boundary"]
    return next((text_of(source) for source in sources if source), None)


def _health(row: View) -> dict[str, Any]:
    names = ("service", "region", "signal", "at", "status", "from")
    numbers = ("value", "low", "high")
    return {
        **{name: text_of(row.get(name)) or None for name in names},
        **{name: number_of(row.get(name)) for name in numbers},
    }


def _timer(timer: View) -> dict[str, Any]:
    left_s = number_of(timer.get("left_s"))
    return {"what": text_of(timer.get("what")), "at": timer.get("at"), "left_s": left_s}


def _why(view: View) -> Iterator[str]:
    """Say why a person is called: the hold and the escalation, each reason once."""
    said = set()
    for key, words in (("held", "held"), ("escalated", "escalated")):
        why = text_of(mapping_of(view, key).get("why"))
        if why and why not in said:
            said.add(why)
            yield f"{words}: {why}"


def _facts(view: View) -> Iterator[dict[str, Any]]:
    """List what was read: signals first, then every check that is not healthy."""
    for signal in maps_of(view, "signal_list"):
        text = text_of(signal.get("reason")) or text_of(signal.get("series"))
        source = "alert" if signal.get("signal") == "alert" else "detection"
        yield {"text": text, "source": source, "at": signal.get("at")}
    for name, result in mapping_of(view, "checks").items():
        if isinstance(result, Mapping) and str(result.get("status")) not in _NO_FACT:
            text = f"{name} is {result.get('status')}: {text_of(result.get('summary'))}"
            yield {"text": text, "source": f"check {name}", "at": result.get("at")}


def _inference(hypothesis: View) -> dict[str, Any]:
    return {
        "rank": hypothesis.get("rank"),
        "entity": hypothesis.get("entity"),
        "region": hypothesis.get("region"),
        "mechanism": hypothesis.get("mechanism"),
        "text": text_of(hypothesis.get("text")),
        "confidence": hypothesis.get("confidence") or "unclear",
        "supports": list(list_of(hypothesis, "supports")),
        "contradicts": list(list_of(hypothesis, "contradicts")),
        "expected_but_missing": list(list_of(hypothesis, "expected_but_missing")),
        "next_check": text_of(hypothesis.get("next_check")),
    }


def _evidence(view: View) -> Iterator[dict[str, Any]]:
    for piece in maps_of(view, "evidence"):
        yield {
            "id": piece.get("id"),
            "class": piece.get("class"),
            "text": text_of(piece.get("text")) or text_of(piece.get("kind")),
            "source": piece.get("source"),
            "at": piece.get("at"),
        }


def _checks(view: View) -> Iterator[dict[str, Any]]:
    for name, result in mapping_of(view, "checks").items():
        found = result if isinstance(result, Mapping) else {}
        yield {
            "name": name,
            "status": found.get("status") or "unknown",
            "summary": text_of(found.get("summary")),
            "at": found.get("at"),
        }


def _stop(stop: View) -> dict[str, Any]:
    words = {name: text_of(stop.get(name)) for name in ("what", "scope", "by", "why")}
    return {**words, "since": stop.get("since"), "until": stop.get("until")}


_STOPS = {
    "freeze": "frozen, nothing is performed there until `holdfast thaw`",
    "maintenance": "in maintenance, people are at work there",
    "change freeze": "change freeze, a person approves every step there",
}


def _leave_alone(
    view: View, steps: Mapping[str, Sequence[View]], partly: Sequence[View], command: View
) -> Iterator[str]:
    for stop in map(_stop, maps_of(view, "stops")):
        what = _STOPS.get(stop["what"], stop["what"])
        until = f" until {stop['until']}" if stop["until"] else ""
        yield f"{stop['scope']}: {what}{until} ({stop['by']}: {stop['why']})"
    for step in steps["in_doubt"]:
        yield (
            f"{step['target']}: nobody knows whether {step['action']} ({step['step_id']}) took "
            "effect; look before you touch it, and settle the step first"
        )
    for half in partly:
        yield f"{half['target']}: applied in part only; look before you go on with it"
    for step in steps["pending"]:
        yield f"{step['target']}: {step['action']} ({step['step_id']}) waits to be performed there"
    for each in command["boundaries"]:
        yield f"{each['target']}: {each['action']} there needs the word of {each['authority']}"


def _missing(view: View) -> Iterator[str]:
    told = [text_of(item) for item in list_of(view, "missing_context")]
    yield from told
    yield from (words for key, words in _WANTED if not view.get(key))
    for name, result in mapping_of(view, "checks").items():
        silent = isinstance(result, Mapping) and result.get("status") == "unknown"
        if silent and not any(f"check {name} " in text for text in told):
            yield f"check {name} could not look: {text_of(result.get('summary'))}"


def _runbooks(view: View) -> Iterator[dict[str, Any]]:
    """Runbooks that were found and not followed, with why not."""
    for found in maps_of(view, "runbooks"):
        name = found.get("runbook") or found.get("name")
        why = [text_of(reason) for reason in list_of(found, "why_not")]
        if not why and found.get("executable") is False:
            why = [_NO_STEP]
        yield {"name": name, "path": found.get("path"), "why_not": why}


def _next(view: View, made: Mapping[str, Any]) -> Iterator[str]:
    """Suggest what to do first: the safe step, then what else is open. Nothing once it is over."""
    if made["phase"] in OVER:
        return
    incident = made["incident_id"] or "INCIDENT"
    safe = made["next_safe_step"]
    if safe["command"] and safe["kind"] not in _BY_STEP:
        yield f"{safe['command']} ({safe['why']})"
    yield from _about_steps(incident, made["steps"])
    yield from _to_look_at(view)
    for applies, command in _COMMANDS:
        if applies(view):
            yield command.format(incident=incident)


def _about_steps(incident: str, steps: Mapping[str, Sequence[View]]) -> Iterator[str]:
    for step in steps["in_doubt"]:
        yield (
            f"holdfast settle {incident} {step['step_id']} happened|not-happened --evidence TEXT "
            f"(did {step['action']} on {step['target']} take effect?)"
        )
    for step in steps["pending"]:
        if step["status"] == "awaiting_approval":
            yield (
                f"holdfast approve {incident} {step['step_id']} --hash {step['hash']} "
                f"--because TEXT ({step['action']} on {step['target']})"
            )


def _to_look_at(view: View) -> Iterator[str]:
    for hypothesis in maps_of(view, "hypotheses")[:3]:
        if hypothesis.get("next_check"):
            yield f"check {hypothesis.get('entity')}: {text_of(hypothesis['next_check'])}"
    for found in _runbooks(view):
        if _NO_STEP in found["why_not"]:
            yield f"follow runbook {found['name']} by hand: holdfast runbook show {found['name']}"


_BY_STEP = frozenset({"settle", "approve"})
_NO_STEP = "it has no executable step"
_COMMANDS: tuple[tuple[Callable[[View], bool], str], ...] = (
    (
        lambda view: bool(view.get("escalated")) and not view.get("acknowledged"),
        "holdfast incident ack {incident}",
    ),
    (
        lambda view: bool(view.get("held")) and not view.get("handoff"),
        "holdfast resume {incident} (once what holds it is settled)",
    ),
    (
        lambda view: bool(view.get("held")),
        "holdfast did {incident} ACTION TARGET --because TEXT (for what you do by hand)",
    ),
)


def _entry(entry: View) -> dict[str, Any]:
    return {
        "seq": entry.get("seq"),
        "at": entry.get("at"),
        "kind": entry.get("kind"),
        "text": text_of(entry.get("text")),
    }
