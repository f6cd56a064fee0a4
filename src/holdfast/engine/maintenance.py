"""Maintenance windows at the door: what one covers opens nothing while it is open.

What is kept quiet is counted and written down, once for each series and window. What is still
wrong when the window is over opens then, with the start that it really had.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.detection import CompositeSettings, Opening
from holdfast.diagnosis import is_out
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Readings, System
from holdfast.engine.standing import open_windows
from holdfast.incident.system import OPENING_SUPPRESSED, SystemState
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.kernel.redact import bounded
from holdfast.policy import Weekly, Window, covering
from holdfast.response.store import Ledger

_LAST = 3
_NAMED_MOST = 3
_LOOK_EVERY_S = 1.0
# What can't be told for this many looks after its window is left to detection.
_LOOKS_MOST = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """What of an opening is kept quiet. `whole`: nothing else was in it."""

    windows: tuple[str, ...]
    series: tuple[str, ...]
    whole: bool

    def sentence(self) -> str:
        """Say it in one line."""
        more = len(self.series) - _NAMED_MOST
        named = ", ".join(self.series[:_NAMED_MOST]) + (f" and {more} more" if more > 0 else "")
        return f"suppressed by maintenance {', '.join(self.windows)}: {named}"


@dataclass(slots=True, kw_only=True)
class _Kept:
    """One series that is kept quiet, in the opening that told of it."""

    signal: Mapping[str, Any]
    facts: OpeningFacts
    looks: int = 0


def _unheard(_suppressed: Suppressed) -> None:
    """Nobody wants to know."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """Asked before anything opens. Thread-safe. `told` hears of each new thing kept quiet."""

    ledger: Ledger
    system: System
    clock: Clock
    weekly: tuple[Weekly, ...] = ()
    told: Callable[[Suppressed], None] = _unheard
    _state: SystemState = field(default_factory=SystemState)
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _next_look: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def windows(self) -> tuple[Window, ...]:
        """List the windows that are open now; while the store is away, by what it said last."""
        with suppress(LedgerUnavailableError):
            self._state = self.system.state()
        return open_windows(self._state, self.weekly, self.clock.now())

    def admit(self, facts: OpeningFacts) -> tuple[OpeningFacts | None, Suppressed | None]:
        """Part an opening into what counts and what is kept quiet; either may be None."""
        windows = self.windows()
        hidden = {s["series"]: w for s in facts.signals if (w := _window_over(s, windows))}
        if not hidden:
            return facts, None
        inside = part_of(facts, hidden)
        rest = part_of(facts, {s["series"] for s in facts.signals} - hidden.keys())
        names = tuple(dict.fromkeys(window.window_id for window in hidden.values()))
        kept = Suppressed(windows=names, series=tuple(hidden), whole=rest is None)
        if inside is not None:
            self._keep(inside, hidden, kept)
        return rest, kept

    def knows(self, keys: Sequence[SignalKey], windows: Sequence[Window]) -> bool:
        """Say whether all of this is being kept quiet already: it is given on every tick."""
        return all(str(key) in self._kept for key in keys) and all(
            covering(windows, service=key.service, region=key.region) for key in keys
        )

    def forget(self, *series: str) -> None:
        """Drop what an incident was told of, or what is over, such as an alert that is resolved."""
        if self._kept:
            with self._lock:
                for name in series:
                    self._kept.pop(name, None)

    def left_over(self, readings: Readings) -> list[OpeningFacts]:
        """Give what was kept quiet, is covered no more and is still wrong; drop what is not.

        It is given again, every second at most, until `forget` says that it was told.
        """
        now = self.clock.monotonic()
        if not self._kept or now < self._next_look:
            return []
        self._next_look = now + _LOOK_EVERY_S
        windows = self.windows()
        with self._lock:
            wrong: dict[int, tuple[OpeningFacts, set[str]]] = {}
            for name, kept in tuple(self._kept.items()):
                if _window_over(kept.signal, windows) is not None:
                    continue
                still = _is_still_wrong(kept.signal, readings)
                kept.looks += 1
                if still:
                    wrong.setdefault(id(kept.facts), (kept.facts, set()))[1].add(name)
                elif still is False or kept.looks > _LOOKS_MOST:
                    del self._kept[name]
        found = [part_of(facts, names) for facts, names in wrong.values()]
        return [
            replace(facts, why=f"still so after a maintenance window: {facts.why}")
            for facts in found
            if facts is not None
        ]

    def _keep(self, inside: OpeningFacts, hidden: Mapping[str, Window], kept: Suppressed) -> None:
        """Write down what is new to its window, and remember all of it."""
        with self._lock:
            news = [
                name
                for name, window in hidden.items()
                if name not in self._state.suppressed.get(window.window_id, ())
            ]
            if news:
                data = {
                    "windows": sorted({hidden[name].window_id for name in news}),
                    "series": news,
                    "severity": inside.severity,
                    "title": inside.title,
                    "why": bounded(inside.why),
                    "started_at": inside.started_at,
                }
                self.ledger.append_system(OPENING_SUPPRESSED, data, SYSTEM, self.clock.now())
                self.told(kept)
            for signal in inside.signals:
                name = signal["series"]
                self._kept.setdefault(name, _Kept(signal=signal, facts=inside))


def _window_over(signal: Mapping[str, Any], windows: Sequence[Window]) -> Window | None:
    # A series of no known region is not in the window of one region.
    return covering(windows, service=signal["service"], region=signal.get("region") or "")


def _is_still_wrong(signal: Mapping[str, Any], readings: Readings) -> bool | None:
    """Judge by the range from before the trouble; None where it can't be told yet.

    What has no reading of ours, such as an alert, is taken to be as it was told last.
    """
    if signal.get("signal") == "alert":
        return True
    key = SignalKey(signal["service"], signal["region"], signal["signal"])
    out = [is_out(key.signal, value, signal) for _, value in readings.recent(key, _LAST)]
    if len(out) < _LAST or None in out or len(set(out)) > 1:
        return None
    return out[0]


def part_of(facts: OpeningFacts, series: Iterable[str]) -> OpeningFacts | None:
    """Give the part of an opening that these series make up; None where there is none of them."""
    wanted = set(series)
    signals = tuple(s for s in facts.signals if s["series"] in wanted)
    if not signals or len(signals) == len(facts.signals):
        return facts if signals else None
    services = tuple(dict.fromkeys(s["service"] for s in signals))
    left_out = ", ".join(s["series"] for s in facts.signals if s["series"] not in wanted)
    same = services[0] == facts.services[0]
    return replace(
        facts,
        title=facts.title if same else f"{signals[0]['series']} out of range",
        severity="critical" if any(s["severity"] == "critical" for s in signals) else "warning",
        services=services,
        regions=tuple(sorted({s["region"] for s in signals if s.get("region")})),
        signals=signals,
        why=f"{facts.why}; apart from it, by a maintenance window: {left_out}",
        owners={name: facts.owners[name] for name in services if name in facts.owners},
    )


def apart(
    openings: Iterable[Opening], windows: Sequence[Window], rule: CompositeSettings
) -> tuple[list[Opening], list[Opening]]:
    """Part what detection gives into what lies outside all windows and what lies inside.

    Several signals that are worth an incident only together have to be enough without those
    inside: else every chance reading beside a service in maintenance would open one.
    """
    outside: list[Opening] = []
    inside: list[Opening] = []
    for opening in openings:
        hidden = {
            key
            for key in (*opening.keys, *(a.key for a in opening.anomalies))
            if covering(windows, service=key.service, region=key.region)
        }
        if not hidden:
            outside.append(opening)
            continue
        if covered := _restricted(opening, [key for key in opening.keys if key in hidden]):
            inside.append(covered)
        rest = _restricted(opening, [key for key in opening.keys if key not in hidden])
        if rest is not None and _stands(rest, rule):
            outside.append(rest)
    return outside, inside


def _restricted(opening: Opening, keys: Sequence[SignalKey]) -> Opening | None:
    if not keys:
        return None
    wanted = set(keys)
    return replace(
        opening,
        services=tuple(dict.fromkeys(key.service for key in keys)),
        regions=tuple(sorted({key.region for key in keys})),
        keys=tuple(keys),
        anomalies=tuple(a for a in opening.anomalies if a.key in wanted),
    )


def _stands(opening: Opening, rule: CompositeSettings) -> bool:
    if opening.cause != "composite":
        return True
    critical = sum(anomaly.severity == "critical" for anomaly in opening.anomalies)
    return critical >= rule.critical or len(opening.anomalies) >= rule.anomalies
