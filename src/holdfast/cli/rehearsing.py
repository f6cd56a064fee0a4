"""runbook test, as text: the match, then each step with every reason, then where it ends."""

from collections.abc import Iterator, Mapping
from typing import Any

Shown = Mapping[str, Any]


def rehearsal_text(found: Shown) -> Iterator[str]:
    """Write a rehearsal in the order in which an incident goes."""
    yield f"{found['runbook']} ({found['version']}) on {found['source']}"
    yield from (f"  note: {note}" for note in found["notes"])
    yield from _match(found)
    if found["mode"]:
        yield f"mode: {found['mode']['mode']}"
        yield from (f"  {reason}" for reason in found["mode"]["reasons"])
    for number, step in enumerate(found["steps"], start=1):
        yield from _step(number, step)
    for page in found["pages"]:
        yield f"page: {page['to']['name']} (level {page['level']}): {page['why']}"
    yield f"end: {_end(found['end'])}"
    if found["if_allowed"] != found["end"]:
        yield f"if its steps were allowed and approved: {_end(found['if_allowed'])}"
    passed = "it would be chosen, and its recovery would be proven"
    failed = "it would not be chosen, or its recovery would not be proven"
    if found["passed"] and not found["steps"]:
        passed = "it would be found; it has no step to perform, so a person follows it"
    yield f"PASSED: {passed}" if found["passed"] else f"FAILED: {failed}"


def _match(found: Shown) -> Iterator[str]:
    match = found["match"]
    what = f"{match['incident_type'] or 'not classified'} of {match['entity'] or 'nothing known'}"
    verdict = "chosen" if match["chosen"] else f"NOT chosen (chosen: {match['best'] or 'none'})"
    yield f"match: {what}: {verdict}"
    yield from (f"  {reason}" for reason in match["why"])
    if not match["chosen"]:
        yield "  what follows is as if it were chosen"


def _step(number: int, step: Shown) -> Iterator[str]:
    yield f"step {number}: {step['title']}"
    rendered = step["rendered"]
    if rendered is not None:
        params = ", ".join(f"{key}={value}" for key, value in rendered["params"].items())
        yield f"  would do: {rendered['action']} on {rendered['target']} {params}".rstrip()
    if not step["reached"]:
        yield "  not reached"
        return
    guard = step["guard"]
    if guard is not None:
        yield f"  guard: {guard['sentence']}"
        yield from (f"    {_reason(reason)}" for reason in guard["reasons"])
    for reason in step["refused"]:
        yield f"  stopped by: {_reason(reason)}"
    yield from (f"  would mean recovered: {text}" for text in step["criteria"])
    if step["outcome"]:
        yield f"  outcome: {step['outcome']['outcome']}: {step['outcome'].get('summary', '')}"
    verification = step["verification"]
    if verification:
        yield f"  verifier: {verification['status']}"
        yield from (f"    {_reason(reason)}" for reason in verification["reasons"])
    if step["recorded"]:
        yield f"  was recorded: {step['recorded']['status']}: {step['recorded']['sentence']}"


def _reason(reason: Shown) -> str:
    facts = [f"{name} {reason[name]}" for name in ("reading", "threshold") if reason.get(name)]
    told = f" ({', '.join(facts)})" if facts else ""
    return f"{'ok ' if reason['ok'] else 'NOT'} {reason['rule']}: {reason['text']}{told}"


def _end(end: Shown) -> str:
    parts = [f"{end['phase']} after {end['took_s']:g} s"]
    if end["held"]:
        parts.append(f"HELD: {end['held']}")
    if end["waiting_for"]:
        parts.append(f"waits for {', '.join(end['waiting_for'])}")
    if end["only_shown"]:
        parts.append("only shown: nothing is performed in this mode")
    parts += [str(end[name]) for name in ("ending", "stopped") if end[name]]
    return "; ".join(parts)
