"""One line per record, in the words of the reasons that were recorded.

A tired engineer reads this first. Nothing is concluded here: a line only says
what its record holds, and what a log or a person put into it can neither break
the line nor steer a terminal.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sized
from typing import Any

from holdfast.incident.records import Kind, Record

_LONG = 600
# Of the rules that allow a step, those that somebody would ask for at 3 a.m.
_TELLING_RULES = frozenset({"approval", "precondition", "cooldown", "limit", "override"})
_TELLING_SOURCES = frozenset({"autonomy"})


def line(record: Record) -> str:
    """Say one record in one line."""
    write = _LINES.get(record.kind)
    if write is None:
        return f"a record of kind {record.kind!r}, which this version does not know, is kept"
    text = write(record.data)
    who = record.actor.id
    by = "" if record.actor.kind.value == "system" else f"{who}: "
    return _cut(one_line(by + text))


def one_line(text: str) -> str:
    """Give `text` without line breaks, control characters and invisible marks (such as those
    that turn the direction of writing); runs of white space become one space.
    """
    shown = ("" if unicodedata.category(c) == "Cf" else c if c.isprintable() else " " for c in text)
    return " ".join("".join(shown).split())


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _reasons(data: Mapping[str, Any], *, only_bad: bool = False) -> str:
    chosen = [r for r in data.get("reasons", ()) if not (only_bad and r["ok"])]
    return "; ".join(_reason(reason) for reason in chosen)


def _reason(reason: Mapping[str, Any]) -> str:
    facts = [
        f"{name} {reason[name]}" for name in ("reading", "threshold", "source") if reason.get(name)
    ]
    return f"{reason['text']} ({', '.join(facts)})" if facts else str(reason["text"])


def _brief(reason: Mapping[str, Any]) -> str:
    """A reason that speaks for going on: what was read and against what, without the source."""
    facts = [str(reason[name]) for name in ("reading", "threshold") if reason.get(name)]
    return f"{reason['text']} ({'; '.join(facts)})" if facts else str(reason["text"])


def _opened(data: Mapping[str, Any]) -> str:
    changes = [
        f"{c['service']} {c.get('version') or c['kind']} by {c['author'] or 'nobody named'} "
        f"at {c['at'][11:19]}"
        for c in data.get("changes", ())
    ]
    changed = f". Changed in the two hours before: {', '.join(changes)}" if changes else ""
    follows = data.get("follows")
    after = f". It follows {follows['incident_id']} ({follows['phase']})" if follows else ""
    return f"opened ({data['severity']}): {data['title']}. Why: {data['why']}{after}{changed}"


def _signal(data: Mapping[str, Any]) -> str:
    signal = data["signal"]
    if signal["state"] == "returned":
        return f"recovery evidence: {signal['reason']}"
    return f"also seen: {signal['reason']}"


def _checks(data: Mapping[str, Any]) -> str:
    results = data["results"]
    if not results:
        return "no check is set up for this"
    told = [
        f"{name} {result['status']}: {result['summary']}"
        for name, result in results.items()
        if result["status"] != "healthy"
    ]
    well = [name for name, result in results.items() if result["status"] == "healthy"]
    if well:
        told.append(f"healthy: {', '.join(well)}")
    return f"{_count(results, 'check')}: {'; '.join(told)}"


def _classified(data: Mapping[str, Any]) -> str:
    return f"classified as {data['incident_type']}: {_reasons(data)}"


def _ranked(data: Mapping[str, Any]) -> str:
    found = data["hypotheses"]
    if not found:
        return "no hypothesis: the evidence names no possible cause"
    first = found[0]
    where = f" in {first['region']}" if first["region"] else ""
    rest = [f"{h['entity']} ({h['mechanism']}, score {h['score']})" for h in found[1:3]]
    against = f", against it {', '.join(first['contradicts'])}" if first["contradicts"] else ""
    others = f". Behind it: {', '.join(rest)}" if rest else ""
    standing = f"{first['confidence']}, score {first['score']}, {first['margin']} ahead"
    return (
        f"first hypothesis ({standing}): "
        f"{first['mechanism']} of {first['entity']}{where}: {first['text']} "
        f"[evidence {', '.join(first['supports'])}{against}]{others}"
    )


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def _plan(data: Mapping[str, Any]) -> str:
    if data["runbook"] is None:
        return f"no plan: {data['why']}"
    mode = f" in mode {data['mode']}" if data["mode"] else ""
    which = f"runbook {data['runbook']} ({data['version']}){mode}, {_count(data['steps'], 'step')}"
    return f"plan: {which}. Why: {data['why']}"


def _directive(data: Mapping[str, Any]) -> str:
    what = f"{data['action']} on {data['target']}"
    undone = data.get("step_id")
    if undone is not None:
        return f"directs the undo of {undone} ({what}): {data['because']}"
    return f"directs {what}: {data['because']}"


def _proposed(data: Mapping[str, Any]) -> str:
    because = f", because: {data['because']}" if data.get("because") else ""
    tries = f" (attempt {data['attempt']})" if data["attempt"] > 1 else ""
    undo = f"undo {data['undo_of']}, " if data.get("undo_of") else ""
    return f"{data['step_id']} proposed{tries}: {undo}{data['action']} on {data['target']}{because}"


def _blocked(data: Mapping[str, Any]) -> str:
    if data["verdict"].get("would_have"):
        return f"{data['step_id']} only shown: {data['why']}"
    return f"{data['step_id']} refused: {_reasons(data['verdict'], only_bad=True)}"


def _approval_requested(data: Mapping[str, Any]) -> str:
    return f"{data['step_id']} waits for approval until {data['expires_at']}: {data['why']}"


def _approval(data: Mapping[str, Any]) -> str:
    return f"{data['step_id']} approved: {data['because']}"


def _intended(data: Mapping[str, Any]) -> str:
    reasons = [r for r in data["verdict"]["reasons"] if r["ok"]]
    told = [
        reason["text"] if reason["rule"] == "precondition" else _brief(reason)
        for reason in reasons
        if reason["rule"] in _TELLING_RULES or reason.get("source") in _TELLING_SOURCES
    ]
    grounds = "; ".join(told) or "no rule speaks against it"
    criteria = " and ".join(data["criteria"])
    return (
        f"{data['step_id']} intended: {data['action']} on {data['target']} (key "
        f"{data['idempotency_key']}, fence {data['fence']}). {len(reasons)} rules allow it: "
        f"{grounds}. Recovered will mean: {criteria}"
    )


def _finished(data: Mapping[str, Any]) -> str:
    return f"{data['step_id']} {data['outcome']}: {data['summary']}"


def _in_doubt(data: Mapping[str, Any]) -> str:
    return f"{data['step_id']} is in doubt: {data['why']}"


def _repeated(data: Mapping[str, Any]) -> str:
    return (
        f"{data['step_id']} is performed again with its own key {data['idempotency_key']} "
        f"(fence {data['fence']}): {data['why']}"
    )


def _reconciled(data: Mapping[str, Any]) -> str:
    seen = data.get("evidence") or data.get("summary")
    return f"{data['step_id']} reconciled as {data['outcome']}: {data['how']} ({seen})"


def _settled(data: Mapping[str, Any]) -> str:
    said = "happened" if data["happened"] else "did not happen"
    return f"{data['step_id']} settled, it {said}: {data['evidence']}"


def _manual(data: Mapping[str, Any]) -> str:
    at = f" at {data['done_at'][11:19]}" if data.get("done_at") else ""
    return f"did {data['action']} on {data['target']} by hand{at}, because: {data['because']}"


def _verification(data: Mapping[str, Any]) -> str:
    told = "; ".join(_brief(reason) for reason in data["reasons"])
    return f"{data['step_id']} verification {data['status']}: {told}"


def _paged(data: Mapping[str, Any]) -> str:
    to = data.get("to")
    if not to:
        return f"paged nobody (level {data['level']}): no contact is known"
    sent = ", ".join(
        f"{d['channel']} {'delivered' if d['delivered'] else 'FAILED: ' + d['detail']}"
        for d in data["deliveries"]
    )
    why = f"level {data['level']}" if data["level"] else "it is handed to them"
    return f"paged {to.get('name') or to.get('id')} ({why}) by {sent or 'nothing'}"


def _reopened(data: Mapping[str, Any]) -> str:
    times = f" (time {data['count']})" if data.get("count", 1) > 1 else ""
    return f"REOPENED{times}: {data['why']}"


def _charter(data: Mapping[str, Any]) -> str:
    allowed = "; ".join(f"{a['action']} on {', '.join(a['targets'])}" for a in data["allowed"])
    kept = ", ".join(
        f"{b['action']} on {b['target']} is {b['authority']}'s" for b in data.get("boundaries", ())
    )
    bounds = f". Boundaries: {kept}" if kept else ""
    return (
        f"charter: {data['commander']} commands until {data['expires_at']}, to "
        f"{data['objective']}. Allowed: {allowed}{bounds}. Why: {data['because']}"
    )


def _packet(data: Mapping[str, Any]) -> str:
    issued = f"takeover packet issued (sha256 {data['digest'][:12]})"
    return f"{issued}, handed to {data['to']}: {data['because']}" if data.get("to") else issued


def _planes(data: Mapping[str, Any]) -> str:
    told = [f"{target}: {found['text']}" for target, found in data["targets"].items()]
    return f"looked again at what was touched ({data['why']}): {'; '.join(told) or 'nothing was'}"


def _why(prefix: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda data: f"{prefix}: {data['why']}"


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    Kind.INCIDENT_OPENED: _opened,
    Kind.SIGNAL_ATTACHED: _signal,
    Kind.CHECKS_RECORDED: _checks,
    Kind.CLASSIFIED: _classified,
    Kind.HYPOTHESES_RANKED: _ranked,
    Kind.PLAN_CHOSEN: _plan,
    Kind.CHARTER_SET: _charter,
    Kind.STEP_SUGGESTED: lambda d: f"suggests {d['action']} on {d['target']}: {d['because']}",
    Kind.DIRECTIVE_RECEIVED: _directive,
    Kind.STEP_PROPOSED: _proposed,
    Kind.STEP_BLOCKED: _blocked,
    Kind.STEP_SKIPPED: lambda d: f"{d['step_id']} skipped: {d.get('why') or 'no reason given'}",
    Kind.APPROVAL_REQUESTED: _approval_requested,
    Kind.APPROVAL_GRANTED: _approval,
    Kind.APPROVAL_DENIED: _blocked,
    Kind.APPROVAL_EXPIRED: _blocked,
    Kind.STEP_INTENDED: _intended,
    Kind.STEP_FINISHED: _finished,
    Kind.STEP_IN_DOUBT: _in_doubt,
    Kind.STEP_REPEATED: _repeated,
    Kind.STEP_RECONCILED: _reconciled,
    Kind.STEP_SETTLED: _settled,
    Kind.LATE_REPORT: lambda d: f"a late report, kept as evidence only: {d.get('summary')}",
    Kind.MANUAL_ACTION_REPORTED: _manual,
    Kind.CONTROL_PLANES_OBSERVED: _planes,
    Kind.VERIFICATION_RECORDED: _verification,
    Kind.HELD: _why("HELD"),
    Kind.RESUMED: _why("resumed"),
    Kind.TAKEOVER_PACKET_ISSUED: _packet,
    Kind.TAKEOVER_ACCEPTED: lambda d: f"took over: {d.get('because') or 'accepted'}",
    Kind.TAKEOVER_REFUSED: lambda d: f"refused to take over: {d['because']}",
    Kind.TAKEOVER_RECALLED: lambda d: f"recalled the handoff: {d['because']}",
    Kind.ESCALATED: lambda d: f"escalated to level {d['level']}",
    Kind.PAGED: _paged,
    Kind.ACKNOWLEDGED: lambda _: "acknowledged",
    Kind.NOTE: lambda d: d["text"],
    Kind.LABELLED: lambda d: f"labelled {d['label']}: {d.get('because') or 'no reason given'}",
    Kind.MERGED: lambda d: f"merged into {d['into']}: {d['why']}",
    Kind.DISMISSED: _why("dismissed"),
    Kind.RESOLVED: _why("RESOLVED"),
    Kind.REOPENED: _reopened,
    Kind.CLOSED: _why("closed"),
}
