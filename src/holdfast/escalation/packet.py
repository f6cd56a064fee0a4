"""The takeover packet: what an engineer would have gathered before being woken.

Read from the JSON of one incident and nothing else. Facts (what was read, by whom, when) stand
apart from inferences, and what is missing is listed rather than left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.kernel.redact import bounded

VERSION = 1
TIMELINE_TAIL = 15
_TEXT_CHARACTERS_MAX = 600

View = Mapping[str, Any]

# Where a step of each status is listed, and whether its target must be left alone.
_GROUPS: Mapping[str, str] = {
    "succeeded": "done",
    "verified": "done",
    "unverified": "done",
    "reversed": "done",
    "failed": "done",
    "intended": "in_doubt",
    "in_doubt": "in_doubt",
    "blocked": "not_performed",
    "skipped": "not_performed",
    "proposed": "waiting",
    "awaiting_approval": "waiting",
}
GROUPS = ("done", "in_doubt", "waiting", "not_performed")

# A healthy check is listed with the checks, and one that could not look is missing context.
_NO_FACT = frozenset({"healthy", "unknown"})
_OVER = frozenset({"resolved", "closed", "dismissed", "merged"})

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
    """Gather the packet from the JSON of `incident show`; what is absent is named."""
    steps = _steps(view)
    return {
        "version": VERSION,
        "incident_id": _text(view.get("incident_id")),
        "title": _text(view.get("title")) or "untitled incident",
        "severity": view.get("severity") or "unknown",
        "phase": view.get("phase") or "unknown",
        "mode": view.get("mode"),
        "since": view.get("started_at") or view.get("opened_at"),
        "opened_at": view.get("opened_at"),
        "incident_type": view.get("incident_type"),
        "services": list(_list(view, "services")),
        "regions": list(_list(view, "regions")),
        "root_entity": view.get("root_entity"),
        "owner": view.get("owner"),
        "why": list(_why(view)),
        "waiting_for": list(_list(view, "waiting_for")),
        "facts": list(_facts(view)),
        "inferences": [_inference(each) for each in _maps(view, "hypotheses")],
        "evidence": list(_evidence(view)),
        "checks": list(_checks(view)),
        "steps": steps,
        "leave_alone": list(_leave_alone(steps)),
        "missing_context": list(_missing(view)),
        "limits_used": dict(_mapping(view, "limits_used")),
        "runbooks": list(_runbooks(view)),
        "next": list(dict.fromkeys(_next(view, steps))),
        "timeline": [_entry(each) for each in _maps(view, "timeline")[-TIMELINE_TAIL:]],
        "ledger": {"seq": view.get("seq"), "head_hash": view.get("head_hash")},
    }


def _why(view: View) -> Iterator[str]:
    """Say why a person is called: the hold and the escalation, each reason once."""
    said = set()
    for key, words in (("held", "held"), ("escalated", "escalated")):
        why = _text(_mapping(view, key).get("why"))
        if why and why not in said:
            said.add(why)
            yield f"{words}: {why}"


def _facts(view: View) -> Iterator[dict[str, Any]]:
    """List what was read: signals first, then every check that is not healthy."""
    for signal in _maps(view, "signal_list"):
        text = _text(signal.get("reason")) or _text(signal.get("series"))
        source = "alert" if signal.get("signal") == "alert" else "detection"
        yield {"text": text, "source": source, "at": signal.get("at")}
    for name, result in _mapping(view, "checks").items():
        if isinstance(result, Mapping) and str(result.get("status")) not in _NO_FACT:
            text = f"{name} is {result.get('status')}: {_text(result.get('summary'))}"
            yield {"text": text, "source": f"check {name}", "at": result.get("at")}


def _inference(hypothesis: View) -> dict[str, Any]:
    return {
        "rank": hypothesis.get("rank"),
        "entity": hypothesis.get("entity"),
        "region": hypothesis.get("region"),
        "mechanism": hypothesis.get("mechanism"),
        "text": _text(hypothesis.get("text")),
        "confidence": hypothesis.get("confidence") or "unclear",
        "supports": list(_list(hypothesis, "supports")),
        "contradicts": list(_list(hypothesis, "contradicts")),
        "expected_but_missing": list(_list(hypothesis, "expected_but_missing")),
        "next_check": _text(hypothesis.get("next_check")),
    }


def _evidence(view: View) -> Iterator[dict[str, Any]]:
    for piece in _maps(view, "evidence"):
        yield {
            "id": piece.get("id"),
            "class": piece.get("class"),
            "text": _text(piece.get("text")) or _text(piece.get("kind")),
            "source": piece.get("source"),
            "at": piece.get("at"),
        }


def _checks(view: View) -> Iterator[dict[str, Any]]:
    for name, result in _mapping(view, "checks").items():
        found = result if isinstance(result, Mapping) else {}
        yield {
            "name": name,
            "status": found.get("status") or "unknown",
            "summary": _text(found.get("summary")),
            "at": found.get("at"),
        }


def _steps(view: View) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    for step in _maps(view, "steps"):
        # A status that a newer version writes is in doubt for us: leave its target alone.
        group = _GROUPS.get(str(step.get("status")), "in_doubt")
        groups[group].append(_step(step))
    return groups


def _step(step: View) -> dict[str, Any]:
    return {
        "step_id": step.get("step_id"),
        "action": step.get("action"),
        "target": step.get("target"),
        "attempt": step.get("attempt"),
        "status": step.get("status"),
        "started_at": step.get("started_at"),
        "ended_at": step.get("ended_at"),
        "hash": step.get("hash"),
        "outcome": _text(_mapping(step, "outcome").get("summary")),
        "verification": _sentence(_mapping(step, "verification")),
        "why": _sentence(_mapping(step, "verdict")),
        "undo": _text(step.get("undo")),
    }


def _sentence(verdict: View) -> str:
    """Say a verdict: its own sentence, or what speaks against the step."""
    if verdict.get("sentence"):
        return _text(verdict["sentence"])
    against = [r for r in _maps(verdict, "reasons") if not r.get("ok")]
    return "; ".join(_text(reason.get("text")) for reason in against)


def _leave_alone(steps: Mapping[str, Sequence[View]]) -> Iterator[str]:
    for step in steps["in_doubt"]:
        yield (
            f"{step['target']}: nobody knows whether {step['action']} ({step['step_id']}) took "
            "effect; look before you touch it, and settle the step first"
        )
    for step in steps["waiting"]:
        yield f"{step['target']}: {step['action']} ({step['step_id']}) waits to be performed there"


def _missing(view: View) -> Iterator[str]:
    told = [_text(item) for item in _list(view, "missing_context")]
    yield from told
    yield from (words for key, words in _WANTED if not view.get(key))
    for name, result in _mapping(view, "checks").items():
        silent = isinstance(result, Mapping) and result.get("status") == "unknown"
        if silent and not any(f"check {name} " in text for text in told):
            yield f"check {name} could not look: {_text(result.get('summary'))}"


def _runbooks(view: View) -> Iterator[dict[str, Any]]:
    """Runbooks that were found and not followed, with why not."""
    for found in _maps(view, "runbooks"):
        name = found.get("runbook") or found.get("name")
        why = [_text(reason) for reason in _list(found, "why_not")]
        if not why and found.get("executable") is False:
            why = [_NO_STEP]
        yield {"name": name, "path": found.get("path"), "why_not": why}


def _next(view: View, steps: Mapping[str, Sequence[View]]) -> Iterator[str]:
    """Suggest what to do first: settle, approve, look, read, go on. Nothing once it is over."""
    if str(view.get("phase")) in _OVER:
        return
    incident = view.get("incident_id") or "INCIDENT"
    yield from _about_steps(incident, steps)
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
    for step in steps["waiting"]:
        if step["status"] == "awaiting_approval":
            yield (
                f"holdfast approve {incident} {step['step_id']} --hash {step['hash']} "
                f"--because TEXT ({step['action']} on {step['target']})"
            )


def _to_look_at(view: View) -> Iterator[str]:
    for hypothesis in _maps(view, "hypotheses")[:3]:
        if hypothesis.get("next_check"):
            yield f"check {hypothesis.get('entity')}: {_text(hypothesis['next_check'])}"
    for found in _runbooks(view):
        if _NO_STEP in found["why_not"]:
            yield f"follow runbook {found['name']} by hand: holdfast runbook show {found['name']}"


_NO_STEP = "it has no executable step"
_COMMANDS: tuple[tuple[Callable[[View], bool], str], ...] = (
    (
        lambda view: bool(view.get("escalated")) and not view.get("acknowledged"),
        "holdfast incident ack {incident}",
    ),
    (
        lambda view: bool(view.get("held")),
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
        "text": _text(entry.get("text")),
    }


def _text(value: object) -> str:
    """Give one line of text, redacted and bounded; nothing for nothing."""
    if value is None:
        return ""
    return bounded(" ".join(str(value).split()), limit=_TEXT_CHARACTERS_MAX)


def _mapping(view: View, key: str) -> View:
    value = view.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(view: View, key: str) -> Sequence[Any]:
    value = view.get(key)
    return value if isinstance(value, list | tuple) else ()


def _maps(view: View, key: str) -> Sequence[View]:
    return [item for item in _list(view, key) if isinstance(item, Mapping)]
