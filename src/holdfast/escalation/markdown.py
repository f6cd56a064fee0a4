"""The packet as Markdown, for a page, a channel or a terminal.

Written to be read at three in the morning: why you, then what not to touch, then what is known,
then what is only believed. A part that is empty says so where its absence matters.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Packet = Mapping[str, Any]

# Only what would become a link, a tag or emphasis: commands and criteria stay fit to copy.
_MARKUP = re.compile(r"(\](?=\()|<(?=[A-Za-z/!?])|\*(?=\S)|(?<=\S)\*|(?<!\w)_|_(?!\w))")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CLOCK = slice(11, 19)  # the time of day within an ISO moment


def packet_markdown(packet: Packet) -> str:
    """Write a packet; see `packet`."""
    parts = ["\n".join(_head(packet))]
    for title, write in _PARTS:
        lines = list(write(packet))
        if lines:
            parts.append("\n".join([f"## {title}", "", *lines]))
    return "\n\n".join(parts) + "\n"


def _head(packet: Packet) -> Iterator[str]:
    yield f"# {_plain(packet['incident_id'])}: {_plain(packet['title'])}"
    yield ""
    where = ", ".join(_plain(each) for each in packet["services"]) or "no service"
    regions = ", ".join(_plain(each) for each in packet["regions"])
    place = f"{where} in {regions}" if regions else where
    yield (
        f"**{_plain(packet['severity'])}**, {_plain(packet['incident_type'] or 'type unknown')}, "
        f"phase {_plain(packet['phase'])}, since {_plain(packet['since'] or 'unknown')}; {place}"
    )


def _why(packet: Packet) -> Iterator[str]:
    for why in packet["why"]:
        yield f"- {_plain(why)}"
    if packet["waiting_for"]:
        waits = ", ".join(_plain(each) for each in packet["waiting_for"])
        yield f"- it waits for: {waits}"


def _next_safe(packet: Packet) -> Iterator[str]:
    found = packet["next_safe_step"]
    who = f" (by {_plain(found['who'])})" if found["who"] else ""
    yield f"**{_plain(found['kind'])}**{who}: {_plain(found['why'])}"
    if found["command"]:
        yield ""
        yield f"    {_CONTROL.sub(' ', found['command'])}"
    if found.get("then"):
        yield ""
        yield f"after that **{_plain(found['then']['kind'])}**: {_plain(found['then']['why'])}"


def _not_again(packet: Packet) -> Iterator[str]:
    for each in packet["do_not_repeat"]:
        step = f" ({each['step_id']})" if each["step_id"] else ""
        yield f"- {_plain(each['action'])} on {_plain(each['target'])}{step}: {_plain(each['why'])}"


def _command(packet: Packet) -> Iterator[str]:
    found = packet["command"]
    if found["commander"]:
        yield f"- commander: {_plain(found['commander'])}"
    if found["charter"]:
        yield from _charter(found["charter"])
    for each in found["boundaries"]:
        people = f" ({', '.join(each['people'])})" if each["people"] else ""
        why = f": {each['why']}" if each["why"] else ""
        what = f"{each['action']} on {each['target']} is {each['authority']}'s"
        yield f"- {_plain(f'{what}{people}{why}')}"
    if found["handoff"]:
        said = found["handoff"]
        yield (
            f"- **handed to {_plain(said['to'])}** by {_plain(said['by'])}, not accepted yet, "
            f"until {_plain(said['expires_at'])}: {_plain(said['because'])}"
        )


def _charter(charter: Packet) -> Iterator[str]:
    yield f"- objective: {_plain(charter['objective'])}"
    for each in charter["allowed"]:
        targets = ", ".join(_plain(target) for target in each["targets"])
        yield f"- allowed: {_plain(each['action'])} on {targets}"
    ended = " (expired)" if charter["expired"] else ""
    yield f"- the charter expires at {_plain(charter['expires_at'])}{ended}"


def _directive(packet: Packet) -> Iterator[str]:
    said = packet["last_directive"]
    if said:
        what = f"{said['action']} on {said['target']}, {said['standing'] or 'not performed'}"
        yield f"{_plain(what)}, by {_plain(said['by'])}: {_plain(said['because'])}"


def _planes(packet: Packet) -> Iterator[str]:
    for each in packet["control_planes"]:
        if each["reached"] is None:
            now = f"not looked at since, {each['before']} before"
        else:
            word = "reached" if each["reached"] else "**not reached**"
            now = f"observed {each['observed']}, {word}"
        yield f"- {_plain(each['plane'])}: intended {_plain(each['intended'])}, {now}"


def _blocked(packet: Packet) -> Iterator[str]:
    for each in packet["blocked_next"]:
        what = f"{each['step_id']} {each['action']} on {each['target']}"
        yield f"- {_plain(what)}: {_plain('; '.join(each['why']))}"


def _reversible(packet: Packet) -> Iterator[str]:
    for each in packet["reversible"]:
        yield f"- {_plain(each['step_id'])} {_plain(each['action'])}: {_plain(each['how'])}"


def _health(packet: Packet) -> Iterator[str]:
    for row in packet["regional_health"]:
        where = f"{row['service']} in {row['region']}"
        value = "no reading" if row["value"] is None else f"{row['value']:.4g}"
        at = f" at {str(row['at'])[_CLOCK]}" if row["at"] else ""
        words = str(row["status"]).replace("_", " ")
        from_ledger = ", as recorded last" if row["from"] == "recorded" else ""
        reading = f"{_plain(row['signal'])} {value}{at}, {_plain(words)}{from_ledger}"
        yield f"- {_plain(where)}: {reading}"


def _timers(packet: Packet) -> Iterator[str]:
    for each in packet["timers"]:
        yield f"- {_plain(each['what'])} at {_plain(each['at'])} (in {_plain(each['left_s'])} s)"


def _successor(packet: Packet) -> Iterator[str]:
    found = packet["successor"]
    if found["who"]:
        yield f"{_plain(found['who'])}: {_plain(found['why'])}"
    for each in found["contacts"]:
        people = f", members {', '.join(each['members'])}" if each["members"] else ""
        yield _plain(f"- {each['name']}, by {', '.join(each['by'])}{people}")


def _leave_alone(packet: Packet) -> Iterator[str]:
    for text in packet["leave_alone"]:
        yield f"- **{_plain(text)}**"


def _next(packet: Packet) -> Iterator[str]:
    for number, text in enumerate(packet["next"], start=1):
        yield f"{number}. {_plain(text)}"


def _facts(packet: Packet) -> Iterator[str]:
    for fact in packet["facts"]:
        yield f"- {_plain(fact['text'])} {_source(fact)}"
    if not packet["facts"]:
        yield "- nothing was read that is out of the ordinary"


def _inferences(packet: Packet) -> Iterator[str]:
    for each in packet["inferences"]:
        yield f"{each['rank']}. {_hypothesis(each)}"
    if not packet["inferences"]:
        yield "- nothing: the cause is open"


def _hypothesis(each: Packet) -> str:
    where = f" in {each['region']}" if each["region"] else ""
    ids = [
        f"{words} {', '.join(_plain(i) for i in each[key])}"
        for words, key in (
            ("for it", "supports"),
            ("against it", "contradicts"),
            ("expected but missing:", "expected_but_missing"),
        )
        if each[key]
    ]
    told = f": {each['text']}" if each["text"] else ""
    head = f"{each['entity']}{where}, {each['mechanism']} ({each['confidence']}){told}"
    return f"{_plain(head)} — {'; '.join(ids) or 'no evidence'}"


def _evidence(packet: Packet) -> Iterator[str]:
    for piece in packet["evidence"]:
        yield f"- {_plain(piece['id'])}: {_plain(piece['text'])} {_source(piece)}"


def _checks(packet: Packet) -> Iterator[str]:
    for check in packet["checks"]:
        summary = f": {check['summary']}" if check["summary"] else ""
        yield f"- {_plain(check['name'])} **{_plain(check['status'])}**{_plain(summary)}"


_STEP_WORDS = {
    "completed": "done",
    "in_doubt": "in doubt",
    "pending": "waiting",
    "blocked": "blocked",
    "skipped": "skipped",
    "reversed": "reversed",
    "not_applied": "not applied",
}


def _steps(packet: Packet) -> Iterator[str]:
    for group, words in _STEP_WORDS.items():
        for step in packet["steps"].get(group, ()):
            yield f"- {words}: {_step(step)}"
    if not any(packet["steps"].values()):
        yield "- none: nothing was changed"


def _step(step: Packet) -> str:
    head = f"{step['step_id']} {step['action']} on {step['target']}, {step['status']}"
    keys = ("outcome", "verification") if step["outcome"] or step["verification"] else ("why",)
    told = "; ".join(step[key] for key in keys if step[key])
    undo = f" (undo: {step['undo']})" if step["undo"] and step["outcome"] else ""
    return _plain(f"{head}: {told}{undo}" if told else f"{head}{undo}")


def _missing(packet: Packet) -> Iterator[str]:
    for text in packet["missing_context"]:
        yield f"- {_plain(text)}"


def _runbooks(packet: Packet) -> Iterator[str]:
    for found in packet["runbooks"]:
        why = "; ".join(found["why_not"]) or "not followed"
        yield f"- {_plain(found['name'])}: {_plain(why)}"


def _limits(packet: Packet) -> Iterator[str]:
    for name, count in packet["limits_used"].items():
        yield f"- {_plain(name)}: {_plain(count)}"


def _timeline(packet: Packet) -> Iterator[str]:
    for entry in packet["timeline"]:
        at = str(entry["at"] or "")[_CLOCK]
        yield f"- {_plain(at)} {_plain(entry['text'])}"


def _ledger(packet: Packet) -> Iterator[str]:
    ledger = packet["ledger"]
    if ledger["head_hash"]:
        yield f"record {_plain(ledger['seq'])}, head `{_plain(ledger['head_hash'])}`"


_PARTS: Sequence[tuple[str, Callable[[Packet], Iterator[str]]]] = (
    ("Why you", _why),
    ("The next safe step", _next_safe),
    ("Do not repeat", _not_again),
    ("Leave alone", _leave_alone),
    ("Who commands", _command),
    ("The last directive", _directive),
    ("What to do next", _next),
    ("Health now, by region", _health),
    ("What is known", _facts),
    ("What is believed, not known", _inferences),
    ("Evidence", _evidence),
    ("Checks", _checks),
    ("Steps", _steps),
    ("Control planes", _planes),
    ("Blocked, and why", _blocked),
    ("What can be undone", _reversible),
    ("Timers", _timers),
    ("Who is next", _successor),
    ("Missing", _missing),
    ("Runbooks not followed", _runbooks),
    ("Limits used", _limits),
    ("Timeline, its end", _timeline),
    ("Ledger", _ledger),
)


def _source(fact: Packet) -> str:
    at = f" at {fact['at']}" if fact.get("at") else ""
    return f"({_plain(fact.get('source') or 'source unknown')}{_plain(at)})"


def _plain(value: object) -> str:
    """Text from outside stays text: on one line, and no mark-up of its own."""
    return _MARKUP.sub(r"\\\1", _CONTROL.sub(" ", str(value)))
