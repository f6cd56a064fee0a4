"""Maintenance windows at the door: what one covers opens nothing while it is open.

What is kept quiet is counted and written down, with all that its incident would be told. What is
still wrong when the window is over opens then, with the start that it really had; the ledger
remembers it, so that the end of a process in the window loses nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.detection import CompositeSettings, Opening
from holdfast.diagnosis import is_out
from holdfast.engine.opening import OpeningFacts, facts_from
from holdfast.engine.ports import Readings, System
from holdfast.engine.standing import open_windows
from holdfast.incident.system import OPENING_LET_GO, OPENING_SUPPRESSED, SystemState
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


def _unheard(_suppressed: Suppressed) -> None:
    """Nobody wants to know."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """Asked before anything opens. Thread-safe. `told` hears of each new thing kept quiet.

    `may_open`: on a shared store only one process opens what is left over after a window.
    """

    ledger: Ledger
    system: System
    clock: Clock
    weekly: tuple[Weekly, ...] = ()
    told: Callable[[Suppressed], None] = _unheard
    may_open: Callable[[], bool] = lambda: True
    _state: SystemState = field(default_factory=SystemState)
    _looks: Counter[str] = field(default_factory=Counter)
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
        return all(str(key) in self._state.kept_quiet for key in keys) and all(
            covering(windows, service=key.service, region=key.region) for key in keys
        )

    def forget(self, *series: str) -> None:
        """Drop what an incident was told of, or what is over, such as an alert that is resolved.

        Raises LedgerUnavailableError.
        """
        with self._lock:
            self._let_go([name for name in series if name in self._state.kept_quiet])

    def left_over(self, readings: Readings) -> list[OpeningFacts]:
        """Give what was kept quiet, is covered no more and is still wrong; drop what is not.

        It is given again, every second at most, until `forget` says that it was told. Raises
        LedgerUnavailableError.
        """
        now = self.clock.monotonic()
        read = self._state.seq > 0
        if (read and not self._state.kept_quiet) or now < self._next_look:
            return []
        self._next_look = now + _LOOK_EVERY_S
        windows = self.windows()
        if not self._state.kept_quiet or not self.may_open():
            return []
        with self._lock:
            wrong = self._still_wrong(windows, readings)
        found = [part_of(facts, names) for facts, names in wrong]
        return [
            replace(facts, why=f"still so after a maintenance window: {facts.why}")
            for facts in found
            if facts is not None
        ]

    def _still_wrong(
        self, windows: Sequence[Window], readings: Readings
    ) -> list[tuple[OpeningFacts, set[str]]]:
        """Give the series that are wrong outside of all windows, by the opening they were in."""
        wrong: dict[int, tuple[OpeningFacts, set[str]]] = {}
        over: list[str] = []
        for name, (seq, data) in self._state.kept_quiet.items():
            facts = facts_from(data)
            signal = next(s for s in facts.signals if s["series"] == name)
            if _window_over(signal, windows) is not None:
                continue
            still = _is_still_wrong(signal, readings)
            self._looks[name] += 1
            if still:
                wrong.setdefault(seq, (facts, set()))[1].add(name)
            elif still is False or self._looks[name] > _LOOKS_MOST:
                over.append(name)
        self._let_go(over)
        return list(wrong.values())

    def _let_go(self, series: Sequence[str]) -> None:
        if series:
            self._write(OPENING_LET_GO, {"series": list(series)})
            for name in series:
                self._looks.pop(name, None)

    def _write(self, kind: str, data: Mapping[str, Any]) -> None:
        self.ledger.append_system(kind, data, SYSTEM, self.clock.now())
        self._state = self.system.state()

    def _keep(self, inside: OpeningFacts, hidden: Mapping[str, Window], kept: Suppressed) -> None:
        """Write down what is new to its window, or is back in it, with what it is about."""
        with self._lock:
            known = self._state.suppressed
            new = {n for n, window in hidden.items() if n not in known.get(window.window_id, ())}
            news = [n for n in hidden if n in new or n not in self._state.kept_quiet]
            facts = part_of(inside, news)
            if facts is None:
                return
            data = {
                "windows": sorted({hidden[name].window_id for name in news}),
                "series": news,
                "severity": inside.severity,
                "title": inside.title,
                "why": bounded(inside.why),
                "started_at": inside.started_at,
                "facts": {**facts.as_data(mode=""), "why": bounded(facts.why)},
            }
            self._write(OPENING_SUPPRESSED, data)
            if new:
                self.told(kept)


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
