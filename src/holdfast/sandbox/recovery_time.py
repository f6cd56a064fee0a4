"""Where the time to recover went, and how much of it the declared times account for.

Rule: pure; read from the records of one incident. What nobody can hurry is allowed for: the
window in which the declared rule can see the fault, the actions themselves, and the sustained
window in which recovery is proven. Waiting for a person is told apart and never counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.kernel.clock import parse_at

ALLOWANCE = 1.2
# Records after which only a person goes on, if the next that counts is that person's.
_WAITS = {
    "approval_requested": "approval_granted",
    "held": "directive_received",
    "verification_recorded": "directive_received",
}
Records = Sequence[Mapping[str, Any]]


def parts(
    records: Records, *, injected_at: datetime, resolved_at: datetime, window_s: float | None
) -> dict[str, float | None]:
    """Split the time from the fault to the record that resolves, in seconds.

    `detect` to the opening, `act` in actions with the pauses between their attempts, `sustain`
    what the criteria asked for, `person` waiting for one, `other` the rest: deciding, checks and
    the sampling in between. `ratio`: all but `person`, over `window_s` + act + sustain; None where
    the scenario declares no window.
    """
    total = (resolved_at - injected_at).total_seconds()
    opened = next((_at(r) for r in records if r["kind"] == "incident_opened"), injected_at)
    act = sum((end - begin).total_seconds() for begin, end in _actions(records))
    sustain = sum(_sustained(records))
    person = sum((end - begin).total_seconds() for begin, end in _waits(records))
    detect = (opened - injected_at).total_seconds()
    due = None if window_s is None else window_s + act + sustain
    found = {
        "detect_s": detect,
        "act_s": act,
        "sustain_s": sustain,
        "person_s": person,
        "other_s": total - detect - act - sustain - person,
        "window_s": window_s,
        "ratio": (total - person) / due if due else None,
    }
    return {name: None if value is None else round(value, 2) for name, value in found.items()}


def told(recovery: Mapping[str, float | None]) -> str:
    """Say where the time to recover went, and how it compares with what was declared."""
    names = ("detect", "act", "sustain", "person", "other")
    said = ", ".join(f"{n} {recovery[f'{n}_s']:.1f}" for n in names if recovery[f"{n}_s"])
    ratio = recovery["ratio"]
    return said if ratio is None else f"{said}; {ratio:.2f} times what is declared"


def _at(record: Mapping[str, Any]) -> datetime:
    return parse_at(record["at"])


def _actions(records: Records) -> Iterator[tuple[datetime, datetime]]:
    """Yield, for each thing that was to be done, its first intent and its last outcome."""
    begun: dict[tuple[str, str], datetime] = {}
    ended: dict[tuple[str, str], datetime] = {}
    names: dict[str, tuple[str, str]] = {}
    for record in records:
        data = record["data"]
        if record["kind"] == "step_intended":
            key = names[data["step_id"]] = (data["action"], data["target"])
            begun.setdefault(key, _at(record))
        elif record["kind"] in {"step_finished", "step_reconciled"} and data["step_id"] in names:
            ended[names[data["step_id"]]] = _at(record)
    for key, end in ended.items():
        yield begun[key], end


def _sustained(records: Records) -> Iterator[float]:
    """Yield the window of each step whose recovery was proven."""
    windows: dict[str, float] = {}
    for record in records:
        data = record["data"]
        if record["kind"] == "step_intended":
            windows[data["step_id"]] = float(data["sustain_window_s"])
        elif record["kind"] == "verification_recorded":
            yield windows.get(data["step_id"], 0.0)


def _waits(records: Records) -> Iterator[tuple[datetime, datetime]]:
    """Yield each stretch in which only a person could go on."""
    since: dict[str, datetime] = {}
    for record in records:
        kind = record["kind"]
        if kind in _WAITS:
            since.setdefault(_WAITS[kind], _at(record))
        elif kind in since:
            yield since.pop(kind), _at(record)
