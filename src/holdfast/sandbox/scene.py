"""What a watcher of the demo knows so far: the sandbox's own facts and the product's events.

Rule: it only remembers. What is drawn of it is `view`'s, what is printed in a pipe
is `demo`'s. Written by the player's thread and by the samplers', read by the screen's;
each field is replaced whole or appended to, so that no reader sees half of one.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from holdfast.kernel.clock import parse_at
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.exposed import Reading
from holdfast.sandbox.holdfast_process import Event
from holdfast.sandbox.scenario import Plan

SECONDS_KEPT = 40
TICKS_AN_ANOMALY_SHOWS = 3
_SIGNALS_TOLD = 3
MIN_SAMPLES = 30
STAGES: Mapping[str, str] = {
    "platform": "platform",
    "holdfast": "Holdfast",
    "warm-up": "warm-up",
    "incident": "incident",
    "aftercare": "aftercare",
    "aftermath": "aftermath",
    "account": "account",
    "clean-up": "clean-up",
}
# Records that end the red line at the top: how it is called from then on, and in which colour.
ENDINGS: Mapping[str, tuple[str, str]] = {
    "resolved": ("RECOVERED", "green"),
    "dismissed": ("DISMISSED", "green"),
    "held": ("HANDED OVER", "magenta"),
}
SeriesKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the timeline. `kind` is a record's, or `sandbox` for our own doings."""

    at: datetime
    kind: str
    text: str
    incident_id: str = ""
    seq: int = 0


@dataclass(slots=True, kw_only=True)
class Scene:
    """Everything seen so far."""

    plan: Plan
    shape: Blueprint
    began_s: float
    stage: str = "platform"
    took_s: dict[str, float] = field(default_factory=dict)
    injected: Event | None = None
    injected_s: float | None = None
    ticks: int = 0
    warm: int = 0
    series: int = 0
    bare_rule_fired: int = 0
    anomalies: dict[SeriesKey, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    readings: dict[tuple[str, str], deque[Reading]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    shown: Mapping[str, Any] | None = None
    acted_s: float | None = None
    ended: Line | None = None

    def take(self, event: Event, now_s: float) -> Line | None:
        """Remember one event; return the line that it adds to the timeline, if it does."""
        match event.get("event"):
            case "stage":
                self._stage(event)
            case "tick":
                self._tick(event)
            case "injected":
                self.injected, self.injected_s = event, now_s
                return self._say(event["at"], broken(event))
            case "killed":
                text = f"Holdfast was killed (SIGKILL) at its crash point {event['point']}"
                return self._say(event["at"], text)
            case "restarted":
                return self._say(event["at"], "Holdfast was started again, on the same ledger")
            case "moved":
                return self._say(event["at"], event["text"])
            case "asked":
                return self._say(event["at"], printable(f"{event['who']}: {event['command']}"))
            case "traffic stopped":
                return self._say(event["at"], "all traffic stopped")
            case "record":
                return self._record(event, now_s)
            case _:
                pass
        return None

    def saw(self, readings: tuple[Reading, ...]) -> None:
        """Remember what the instances said of themselves this second."""
        for reading in readings:
            key = reading.service, reading.region
            self.readings.setdefault(key, deque(maxlen=SECONDS_KEPT)).append(reading)

    def look(self, shown: Mapping[str, Any]) -> None:
        """Remember what `incident show` says now."""
        self.shown = printable(shown)

    def anomaly(self, service: str, region: str, signal: str) -> Mapping[str, Any] | None:
        """Give the anomaly of a series if it is one of the last ticks'."""
        seen = self.anomalies.get((service, region, signal))
        return seen[1] if seen and self.ticks - seen[0] < TICKS_AN_ANOMALY_SHOWS else None

    def _stage(self, event: Event) -> None:
        if event["state"] == "begins":
            self.stage = event["part"]
        else:
            self.took_s = {**self.took_s, event["part"]: event["took_s"]}

    def _tick(self, event: Event) -> None:
        self.ticks += 1
        self.warm, self.series = event["warm"], event["series"]
        self.bare_rule_fired += bool(event["bare_rule"])
        for anomaly in event["anomalies"]:
            key = anomaly["service"], anomaly["region"], anomaly["signal"]
            self.anomalies[key] = (self.ticks, anomaly)

    def _record(self, event: Event, now_s: float) -> Line:
        kind = event["kind"]
        if kind in {"step_finished", "step_reconciled"}:
            self.acted_s = now_s
        line = Line(
            at=parse_at(event["at"]),
            kind=kind,
            text=printable(event["text"]),
            incident_id=event["incident_id"],
            seq=event["seq"],
        )
        self.lines.append(line)
        if kind in ENDINGS:
            self.ended = line
        return line

    def _say(self, at: str, text: str) -> Line:
        line = Line(at=parse_at(at), kind="sandbox", text=text)
        self.lines.append(line)
        return line


def printable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Take out of every text what could steer a terminal."""
    match value:
        case str():
            return "".join(c if c.isprintable() else " " for c in value)
        case Mapping():
            return {key: printable(item) for key, item in value.items()}
        case list():
            return [printable(item) for item in value]
        case _:
            return value


def broken(event: Event) -> str:
    """Say in a line what was broken, where."""
    detail, where = event["detail"], event["entity"] or "the whole platform"
    match event["fault"]:
        case "bad-deploy":
            did = f"{where} {detail['previous_version']} → {detail['version']} deployed everywhere"
        case "service-down":
            did = f"{where} in {event['region']} killed, and kept from starting"
        case "novel":
            did = f"session {detail['session']} ({detail['application']}) locks a table of {where}"
        case "healthy":
            did = f"a surge of traffic in all regions of {where}"
        case _:
            did = f"{where} in {event['region']}" if event["region"] else where
    return f"{did}: {event['title']}"


def folded(lines: Sequence[Line]) -> list[Line]:
    """Make one line of what is left of a run of signals attached to an incident at one moment."""
    told: list[Line] = []
    for _, run in groupby(lines, key=_moment):
        found = list(run)
        rest = len(found) - _SIGNALS_TOLD
        if found[0].kind != "signal_attached" or rest <= 1:
            told += found
            continue
        told += found[:_SIGNALS_TOLD]
        told.append(replace(found[-1], text=f"{_subject(found[-1])}: {rest} more series"))
    return told


def _moment(line: Line) -> tuple[object, ...]:
    return line.kind, line.incident_id, line.at, _subject(line)


def _subject(line: Line) -> str:
    return line.text.partition(":")[0]
