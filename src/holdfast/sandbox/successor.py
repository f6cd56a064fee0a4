"""A successor: reads a takeover packet and nothing else of Holdfast, looks, and names what is next.

Rule: everything comes from standard input, the packet's JSON and where the targets are; nothing of
the product is imported and no rule of it is copied. The order of thought is its own: what nobody
knows, what is half done, who has it, who was asked, what was read, and only then a next directive.
A deed that the packet calls done and the target does not show makes it look first.
"""

import json
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TIMEOUT_S = 3.0
Data = Mapping[str, Any]
_OVER = frozenset({"resolved", "closed", "dismissed", "merged"})
_PROVEN: Final = "met"
_DRAINED = 8
_LIVE, _BOUNDARY, _CHARTER = "live state", "boundary", "charter"


def main() -> None:
    """Read `{"packet", "targets"}` and answer `{"kind", "targets", "not_again", ...}`."""
    told = json.load(sys.stdin)
    print(json.dumps(named(told["packet"], told["targets"])))


def named(packet: Data, targets: Data) -> dict[str, Any]:
    """Name the kind of the next safe step and what must not be done again."""
    seen = looked_at(packet, targets)
    kind, about = _kind(packet)
    missing = [deed for deed, there in seen.items() if there is False]
    if missing and kind not in {"settle", "accept"}:
        kind, about = "look", missing
    return {
        "kind": kind,
        "targets": about,
        "not_again": list(dict.fromkeys(_deed(each) for each in packet["do_not_repeat"])),
        "seen": seen,
        "packet_says": packet["next_safe_step"]["kind"],
    }


# --- what is next ---------------------------------------------------------------


def _kind(packet: Data) -> tuple[str, list[str]]:
    if packet["phase"] in _OVER:
        return "close", []
    for kind, about in _questions(packet):
        if about is not None:
            return kind, about
    charter = packet["command"]["charter"]
    if charter is None:
        return ("look", []) if packet["held"] else ("none", [])
    return "direct", [name for each in charter["allowed"] for name in each["targets"]]


def _questions(packet: Data) -> Sequence[tuple[str, list[str] | None]]:
    """Ask in order; the first answer that is not None decides."""
    command = packet["command"]
    handed = command["handoff"] is not None or command["asks_for_takeover"]
    return (
        ("accept", [] if handed else None),
        ("settle", _targets(packet["steps"]["in_doubt"])),
        ("look", _targets(packet["partly_applied"])),
        ("look", _unproven(packet)),
        ("look", _refused_for(packet, _LIVE)),
        ("hold", _held_by_somebody(packet)),
        ("approve", _targets([a for a in packet["open_approvals"] if not a["approved_by"]])),
        ("ask", _refused_for(packet, _BOUNDARY)),
        ("ask", None if _has_newer_charter(packet) else _refused_for(packet, _CHARTER)),
        ("hold", _targets(packet["steps"]["pending"])),
        ("hold", _is_being_verified(packet)),
        ("close", _all_is_well(packet)),
        ("hold", _frozen(packet)),
    )


def _targets(steps: Sequence[Data]) -> list[str] | None:
    return [str(step["target"]) for step in steps] or None


def _unproven(packet: Data) -> list[str] | None:
    """The last thing that was done, if nobody can tell whether it helped."""
    done = packet["steps"]["completed"]
    unclear = done and done[-1]["verified"] not in {None, _PROVEN}
    return [str(done[-1]["target"])] if unclear else None


def _refused_for(packet: Data, rule: str) -> list[str] | None:
    """The newest step, if it was refused by this rule."""
    blocked = packet["steps"]["blocked"]
    if not blocked or blocked[-1]["step_id"] != packet["last_step"]:
        return None
    rules = {str(reason["rule"]) for reason in blocked[-1]["against"]}
    return [str(blocked[-1]["target"])] if rule in rules else None


def _has_newer_charter(packet: Data) -> bool:
    """Whether the charter came after the last directive, which it therefore did not refuse."""
    charter, said = packet["command"]["charter"], packet["last_directive"]
    return bool(charter and said and str(charter.get("set_at") or "") > str(said["at"]))


def _is_being_verified(packet: Data) -> list[str] | None:
    """What was done and is not judged yet: its verdict comes by itself."""
    if packet["phase"] != "verifying" or packet["held"]:
        return None
    return _targets([s for s in packet["steps"]["completed"] if s["status"] == "succeeded"])


def _held_by_somebody(packet: Data) -> list[str] | None:
    held = packet["held"]
    return [] if held and held["by"] not in {None, "holdfast"} else None


def _all_is_well(packet: Data) -> list[str] | None:
    states = {str(row["status"]) for row in packet["regional_health"]}
    commanded = packet["command"]["commander"] is not None
    return [] if commanded and "normal" in states and states <= {"normal", "no_range"} else None


def _frozen(packet: Data) -> list[str] | None:
    """Under a freeze of everything a directive is only refused."""
    stops = [(stop.get("what"), stop.get("scope")) for stop in packet.get("stops", ())]
    return [] if ("freeze", "all") in stops else None


def _deed(each: Data) -> str:
    return f"{each['action']}:{each['target']}"


# --- what the targets show ------------------------------------------------------


def looked_at(packet: Data, targets: Data) -> dict[str, bool | None]:
    """Say of each deed whether its target shows it; None where it can't be told by looking.

    Of two deeds that turn the same thing only the later one can still show.
    """
    found: dict[str, bool | None] = {}
    latest: dict[tuple[str, str], str] = {}
    for each in packet["do_not_repeat"]:
        latest[each["target"], _turns(each["action"])] = _deed(each)
    for each in packet["do_not_repeat"]:
        look = _LOOKS.get(each["action"])
        if look is None or latest[each["target"], _turns(each["action"])] != _deed(each):
            found[_deed(each)] = None
            continue
        try:
            found[_deed(each)] = look(str(each["target"]), targets)
        except (OSError, KeyError, ValueError):
            found[_deed(each)] = None  # a target that does not answer says neither
    return found


def _turns(action: str) -> str:
    return "pool" if action in {"drain_pool", "undrain_pool"} else action


def _flag_is_off(_target: str, targets: Data) -> bool:
    flags = json.loads(Path(targets["flags"]["file"]).read_text(encoding="utf-8"))["flags"]
    return bool(flags[targets["flags"]["flag"]]["state"] == "DISABLED")


def _is_drained(target: str, targets: Data) -> bool:
    return _admin_state(target, targets) == _DRAINED


def _is_ready(target: str, targets: Data) -> bool:
    return _admin_state(target, targets) == 0


def _admin_state(target: str, targets: Data) -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(TIMEOUT_S)
        line.connect(targets["balancer"]["socket"])
        line.sendall(b"show servers state\n")
        told = b""
        while chunk := line.recv(65_536):
            told += chunk
    rows = [row.split(" ") for row in told.decode().splitlines() if row and row[0].isdigit()]
    region = target.partition("@")[2]
    return next(int(row[6]) for row in rows if len(row) > 6 and row[3] == region)


def _runs(target: str, targets: Data) -> bool:
    from xmlrpc.client import Fault, ServerProxy

    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{targets['supervisor']['socket']}")
    rpc: Any = ServerProxy("http://127.0.0.1", transport=transport)
    try:
        info = rpc.supervisor.getProcessInfo(target.replace("@", "-"))
    except Fault as fault:
        raise ValueError(str(fault)) from fault
    finally:
        transport.close()
    return bool(info["statename"] == "RUNNING")


def _is_promoted(_target: str, targets: Data) -> bool:
    import psycopg

    try:
        with psycopg.connect(targets["database"]["standby"], connect_timeout=3) as connection:
            row = connection.execute("SELECT NOT pg_is_in_recovery()").fetchone()
    except psycopg.OperationalError as error:
        raise OSError(str(error)) from error
    return bool(row and row[0])


_LOOKS: Mapping[str, Callable[[str, Data], bool]] = {
    "disable_flag": _flag_is_off,
    "drain_pool": _is_drained,
    "undrain_pool": _is_ready,
    "restart_service": _runs,
    "failover_db": _is_promoted,
}

if __name__ == "__main__":
    main()
