"""The next safe step, found in a table of rules: the first one that fits is the answer.

What is uncertain comes before what is unfinished, and looking before acting: no rule leads from a
doubt to an action.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Packet = Mapping[str, Any]
Found = dict[str, Any]

OVER = frozenset({"resolved", "closed", "dismissed", "merged"})
_UNCLEAR = frozenset({"contradiction", "stale", "no_data", "mixed"})
_CHARTER = "charter"
KINDS = ("accept", "settle", "look", "approve", "ask", "direct", "hold", "close", "none")


def next_safe_step(packet: Packet) -> Found:
    """Say what can be done next without making anything worse; see RULES."""
    for rule in RULES:
        if (found := rule(packet)) is not None:
            return found
    raise AssertionError("the last rule always answers")


def _found(
    kind: str,
    why: str,
    command: str | None = None,
    *,
    targets: Sequence[Any] = (),
    who: str | None = None,
) -> Found:
    return {
        "kind": kind,
        "why": why,
        "command": command,
        "targets": [target for target in targets if target],
        "who": who,
    }


def _over(packet: Packet) -> Found | None:
    if packet["phase"] not in OVER:
        return None
    name = packet["incident_id"]
    if packet["phase"] in {"closed", "merged"}:
        return _found("none", f"the incident is {packet['phase']}; nothing is left to do")
    why = f"the incident is {packet['phase']}; nothing is left but to write it up and close it"
    return _found("close", why, f"holdfast incident close {name} --because TEXT")


def _accept(packet: Packet) -> Found | None:
    command = packet["command"]
    handoff = command["handoff"]
    if handoff is None and not command["asks_for_takeover"]:
        return None
    if handoff is not None:
        who, why = handoff["to"], f"{handoff['by']} handed it to {handoff['to']}; nobody acts now"
    else:
        who, why = packet["successor"]["who"], "nobody commands it at the moment"
    after = {**packet, "command": {**command, "handoff": None, "asks_for_takeover": False}}
    then = next_safe_step(after)
    made = _found("accept", why, f"holdfast accept {packet['incident_id']}", who=who)
    return {**made, "then": {key: then[key] for key in ("kind", "why", "command", "targets")}}


def _settle(packet: Packet) -> Found | None:
    steps = packet["steps"]["in_doubt"]
    if not steps:
        return None
    step, name = steps[0], packet["incident_id"]
    why = (
        f"{step['step_id']} ({step['action']} on {step['target']}) may have taken effect; look at "
        f"{step['target']} and say what you saw, and do not perform it again"
    )
    command = f"holdfast settle {name} {step['step_id']} happened|not-happened --evidence TEXT"
    return _found("settle", why, command, targets=[each["target"] for each in steps])


def _look_at_halves(packet: Packet) -> Found | None:
    halves = packet["partly_applied"]
    if not halves:
        return None
    half = halves[0]
    why = (
        f"{half['step_id'] or half['target']} is applied in part: reached "
        f"{', '.join(half['reached'])}, not {', '.join(half['not_reached'])}; look, then finish "
        f"what is missing or undo it; never repeat the whole"
    )
    return _look(packet, why, [each["target"] for each in halves])


def _look_at_readings(packet: Packet) -> Found | None:
    """Readings that contradict each other, or are old, are a reason to look and no other."""
    done, blocked = packet["steps"]["completed"], packet["steps"]["blocked"]
    last = done[-1] if done else None
    if last is not None and last["verified"] in _UNCLEAR:
        why = f"after {last['step_id']} nobody can tell whether it helped: {last['verification']}"
        return _look(packet, why, [last["target"]])
    refused = _last_refused(packet, blocked, "live")
    if refused is None:
        return None
    step, text = refused
    why = f"{step['step_id']} was refused on what was read: {text}"
    return _look(packet, why, [step["target"]])


def _look(packet: Packet, why: str, targets: Sequence[Any]) -> Found:
    return _found("look", why, f"holdfast incident look {packet['incident_id']}", targets=targets)


def _last_refused(
    packet: Packet, blocked: Sequence[Packet], rule: str
) -> tuple[Packet, str] | None:
    """Find the newest step if it was refused by a rule of this name."""
    if not blocked or blocked[-1]["step_id"] != packet["last_step"]:
        return None
    for reason in blocked[-1]["against"]:
        if str(reason["rule"]).startswith(rule):
            return blocked[-1], reason["text"]
    return None


def _approve(packet: Packet) -> Found | None:
    waiting = [each for each in packet["open_approvals"] if not each["approved_by"]]
    if not waiting:
        return None
    step, name = waiting[0], packet["incident_id"]
    who = f" (one of {step['authority']})" if step["authority"] else ""
    why = (
        f"{step['step_id']} ({step['action']} on {step['target']}) waits for an approval{who} "
        f"until {step['expires_at']}; approve or deny it"
    )
    command = f"holdfast approve {name} {step['step_id']} --hash {step['hash']} --because TEXT"
    return _found("approve", why, command, targets=[step["target"]], who=step["authority"])


def _ask_authority(packet: Packet) -> Found | None:
    refused = _last_refused(packet, packet["steps"]["blocked"], "boundary")
    if refused is None:
        return None
    step, text = refused
    who = next((r["source"] for r in step["against"] if r["rule"] == "boundary"), None)
    if _commands_for(packet, who):
        return None
    command = f"holdfast handoff {packet['incident_id']} --to {who or 'WHO'} --because TEXT"
    return _found("ask", text, command, targets=[step["target"]], who=who)


def _commands_for(packet: Packet, authority: str | None) -> bool:
    """Say whether the commander belongs to this authority: then nobody else need be asked."""
    commander = packet["command"]["commander"]
    people = [b["people"] for b in packet["command"]["boundaries"] if b["authority"] == authority]
    return commander is not None and (
        commander == authority or any(commander in each for each in people)
    )


def _ask_for_charter(packet: Packet) -> Found | None:
    command = f"holdfast charter set {packet['incident_id']} --commander WHO ..."
    charter = packet["command"]["charter"]
    if charter is not None and charter["expired"]:
        why = f"the charter expired at {charter['expires_at']}; nothing can be directed under it"
        return _found("ask", why, command, who=packet["command"]["commander"])
    who = packet["command"]["commander"]
    if charter is None and who is not None and packet["mode"] == "guided":
        return _found("ask", f"guided: {who} can direct nothing without a charter", command)
    refused = _last_refused(packet, packet["steps"]["blocked"], _CHARTER)
    if refused is None or _set_since(packet):
        return None
    step, text = refused
    return _found("ask", text, command, targets=[step["target"]])


def _set_since(packet: Packet) -> bool:
    """Say whether the charter is younger than the last directive: it refused nothing yet."""
    charter, said = packet["command"]["charter"], packet["last_directive"]
    if charter is None or said is None or not charter["set_at"]:
        return False
    # Both are RFC 3339 in UTC, so their texts sort as their times do.
    return str(charter["set_at"]) > str(said["at"])


def _hold(packet: Packet) -> Found | None:
    held = packet["held"]
    if held is None or held["by"] in {None, "holdfast"}:
        return None
    why = f"{held['by']} holds it: {held['why']}; ask them before you resume"
    return _found("hold", why, f"holdfast resume {packet['incident_id']} --because TEXT")


def _wait(packet: Packet) -> Found | None:
    pending = packet["steps"]["pending"]
    if pending:
        step = pending[-1]
        why = f"{step['step_id']} is being judged; wait for it"
        return _found("hold", why, targets=[step["target"]])
    if packet["phase"] != "verifying" or packet["held"] or not packet["command"]["commander"]:
        return None
    done = [s for s in packet["steps"]["completed"] if s["status"] == "succeeded"]
    if not done:
        return None
    step = done[-1]
    why = f"whether {step['step_id']} helped is being verified; wait for the verdict"
    return _found("hold", why, targets=[step["target"]])


def _close(packet: Packet) -> Found | None:
    """All is well where somebody commands: they say that it is over."""
    health = {str(row["status"]) for row in packet["regional_health"]}
    if packet["command"]["commander"] is None or "normal" not in health:
        return None
    if health - {"normal", "no_range"}:
        return None
    why = (
        "every reading is in its normal range and no step is open; hand it back, and what was "
        "touched is looked at again before it ends"
    )
    command = f"holdfast handoff {packet['incident_id']} --to holdfast --because TEXT"
    return _found("close", why, command)


def _frozen(packet: Packet) -> Found | None:
    """With everything frozen a directive would only be refused."""
    stop = next((s for s in packet["stops"] if (s["what"], s["scope"]) == ("freeze", "all")), None)
    if stop is None or packet["command"]["commander"] is None:
        return None
    why = f"{stop['by']} froze everything: {stop['why']}; ask them before anything is directed"
    return _found("hold", why, "holdfast thaw --because TEXT", who=stop["by"])


def _direct(packet: Packet) -> Found | None:
    command = packet["command"]
    if command["commander"] is None:
        return None
    allowed = (command["charter"] or {}).get("allowed", [])
    targets = list(dict.fromkeys(target for each in allowed for target in each["targets"]))
    why = f"it waits for a directive by {command['commander']}; rehearse it with --dry-run first"
    words = f"holdfast direct {packet['incident_id']} ACTION TARGET --dry-run --because TEXT"
    return _found("direct", why, words, targets=targets, who=command["commander"])


def _look_first(packet: Packet) -> Found | None:
    held = packet["held"]
    if held is None:
        return None
    return _look(packet, f"it is held: {held['why']}; look before anything is directed", [])


def _nothing(packet: Packet) -> Found | None:
    why = f"it goes on by itself in phase {packet['phase']}; nothing is asked of you"
    return _found("none", why)


RULES: tuple[Callable[[Packet], Found | None], ...] = (
    _over,
    _accept,
    _settle,
    _look_at_halves,
    _look_at_readings,
    _hold,
    _approve,
    _ask_authority,
    _ask_for_charter,
    _wait,
    _close,
    _frozen,
    _direct,
    _look_first,
    _nothing,
)
