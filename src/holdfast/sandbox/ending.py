"""The last words of the demo: how it ended, how long it took, where the proof lies, what to try.

Rule: pure. Every figure is one of the run's document; nothing is rounded in its favour.
"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.sandbox.recovery_time import told
from holdfast.sandbox.scenario import DISMISSED, ESCALATED, HELD, NONE, RESOLVED
from holdfast.sandbox.scene import STAGES, Scene

_WIDTH = 17
_MEANS: Mapping[str, str] = {
    RESOLVED: "resolved by itself, and proven",
    HELD: "held: it stopped on uncertainty and handed over to a person",
    ESCALATED: "escalated: it did nothing on a guess and handed over to a person",
    DISMISSED: "dismissed as a false alarm, nobody woken",
    NONE: "no incident came to an end",
}


def report(
    document: Mapping[str, Any],
    scene: Scene,
    *,
    took_s: float,
    keep: Path | None,
    program: str,
    width: int | None = None,
) -> Iterator[str]:
    """Yield the lines to print when the run is over, wrapped to `width` where there is one."""
    yield ""
    for row in _rows(document, scene, took_s):
        yield _wrapped(row, width, _WIDTH)
    yield "\nTry next"
    for command in _next(document, keep, program):
        yield _wrapped(command, width, 2)


def _wrapped(line: str, width: int | None, indent: int) -> str:
    """Indent a line, and wrap it under its own words; no word (a path, a command) is broken."""
    if width is None:
        return f"  {line}"
    return textwrap.fill(
        line,
        max(40, width),
        initial_indent="  ",
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rows(document: Mapping[str, Any], scene: Scene, took_s: float) -> Iterator[str]:
    yield _row("outcome", _outcome(document, scene))
    if document["incident_id"]:
        yield from _incident(document)
    for other in document.get("also", ()):
        yield _row("and at once", f"{other['incident_id']}: {other['outcome']}, {_did(other)}")
    yield _row("pages", str(document["pages"]))
    if scene.plan.scenario.bare_rule_fires:
        yield _row("bare rule", _bare_rule(document))
    yield _row("times", _times(document, took_s))
    if document["passed"]:
        yield _row("grade", f"passed: {_why_passed(scene)}")
    for reason in document["why_not"]:
        yield _row("grade", f"NOT PASSED: {reason}")


def _why_passed(scene: Scene) -> str:
    if scene.plan.scenario.free:
        return "every line of the script went as it says"
    return "it ended as the scenario's row of the table says"


def _row(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _outcome(document: Mapping[str, Any], scene: Scene) -> str:
    if document["outcome"] == NONE and scene.plan.scenario.watch_s is not None:
        return "nothing was wrong, and no incident was opened"
    if document["outcome"] == RESOLVED and any(step["by_person"] for step in document["steps"]):
        return "resolved, with the word of the one on call, and proven"
    return _MEANS[document["outcome"]]


def _incident(document: Mapping[str, Any]) -> Iterator[str]:
    kind, root = document["incident_type"], document["root_cause_entity"]
    yield _row("incident", f"{document['incident_id']}: {kind}, root cause in {root}")
    yield _row("time to detect", _seconds(document["detected_s"]))
    yield _row("time to recover", _seconds(document["recovered_s"]))
    if document["recovery"]:
        yield _row("where it went", f"in seconds: {told(document['recovery'])}")
    yield _row("did", _did(document))
    ledger = document["ledger"] or {}
    state = "verified" if document["ledger_verified"] else "NOT VERIFIED"
    head = str(ledger.get("head_hash"))
    yield _row("ledger", f"{state}: {ledger.get('records')} records, head {head[:16]}…")
    if document.get("postmortem"):
        yield _row("postmortem", document["postmortem"])


def _did(document: Mapping[str, Any]) -> str:
    steps = [step for step in document["steps"] if step["effect"] != "absent"]
    if not steps:
        return "nothing"
    told = ", ".join(f"{s['action']} on {s['target']} ({s['outcome']})" for s in steps)
    seen, twice = len(document["effects"]), document["duplicate_effects"]
    return f"{told}; the observers at the targets saw {seen}, {twice or 'none'} beyond the ledger"


def _bare_rule(document: Mapping[str, Any]) -> str:
    fired = document["bare_rule_fired"]
    return f"fired on {fired} ticks over all series; each would have been a false alarm"


def _times(document: Mapping[str, Any], took_s: float) -> str:
    parts = [f"{STAGES[name]} {took:.1f} s" for name, took in document["timings"].items()]
    return ", ".join([*parts, f"{took_s:.1f} s in all"])


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s from the fault"


def _next(document: Mapping[str, Any], keep: Path | None, program: str) -> Iterator[str]:
    name, scenario = document["incident_id"], document["scenario"]
    if keep is not None and name is not None:
        there = f"--dir {keep / 'holdfast'}"
        yield f"{program} incident timeline {name} {there}     every record, as a reason"
        yield f"{program} incident verify {name} {there}       the chain of hashes, recomputed"
    elif name is not None:
        yield f"{program} demo {scenario} --keep DIR     and look around in it afterwards"
    other = "service-down" if scenario != "service-down" else "novel"
    yield f"{program} demo {other}     another way to break"
    yield f"{program} gameday     every scenario, graded"
