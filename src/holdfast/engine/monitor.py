"""One sampling tick after the other: scrape, keep, judge, tell.

The monitor never decides what to do about what it sees. A tick that comes late
is a late tick: the next one is due at its own time, so that slowness shows as a
gap and not as a burst.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from holdfast.detection import (
    Anomaly,
    Composite,
    CompositeSettings,
    Opening,
    Watch,
    ZScore,
    bare_rule,
    list_anomalies,
)
from holdfast.engine.intake import is_known, merged_by_group, opening_facts, returns
from holdfast.engine.maintenance import apart
from holdfast.engine.ports import Floats, Readings, Watcher
from holdfast.engine.runner import Engine
from holdfast.kernel.catalogue import Catalogue, SignalKey
from holdfast.kernel.clock import Clock


class Row(Protocol):
    """One scrape of everything."""

    @property
    def at(self) -> datetime: ...

    @property
    def values(self) -> Floats: ...


class History(Readings, Protocol):
    """Readings that can also be added to."""

    def append(self, at: datetime, values: Floats) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one tick saw."""

    number: int
    at: datetime
    series: int
    warm: int
    anomalies: tuple[Anomaly, ...]
    bare_rule: bool
    openings: tuple[Opening, ...]

    def as_data(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "tick": self.number,
            "series": self.series,
            "warm": self.warm,
            "anomalies": [anomaly.as_data() for anomaly in self.anomalies],
            "bare_rule": self.bare_rule,
        }


@dataclass(slots=True, kw_only=True)
class Monitor:
    """Runs the ticks. `run` blocks until `stop` is set."""

    catalogue: Catalogue
    keys: tuple[SignalKey, ...]
    scrape: Callable[[], Row]
    history: History
    detector: ZScore
    composite: Composite
    watch: Watch
    settings: CompositeSettings
    engine: Engine
    clock: Clock
    interval_s: float
    on_tick: Callable[[Tick], None]
    watcher: Watcher
    changes: Callable[[], Iterable[Mapping[str, Any]]] = tuple
    # Asked before each opening: on a shared store only one process opens incidents.
    may_open: Callable[[], bool] = lambda: True
    stopping: threading.Event = field(default_factory=threading.Event)
    ticks: int = 0
    # When the last whole tick ended, by the monotonic clock: one that hangs shows as an old one.
    ticked_at: float | None = None

    def run(self) -> None:
        """Tick at every interval until stopped."""
        due = self.clock.monotonic()
        while not self.stopping.is_set():
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - one bad tick must not end detection
                self.watcher.on_trouble(f"tick {self.ticks}: {type(error).__name__}: {error}")
            due = max(due + self.interval_s, self.clock.monotonic())
            self.clock.wait(self.stopping, due - self.clock.monotonic())

    def stop(self) -> None:
        """Ask `run` to end."""
        self.stopping.set()

    def tick(self) -> Tick:
        """Take one sample of everything and judge it."""
        row = self.scrape()
        self.history.append(row.at, row.values)
        scores = self.detector.tick(row.values)
        anomalies = list_anomalies(scores, self.keys, row.at)
        openings = (
            *self.watch.observe(row.values, row.at),
            *self.composite.observe(scores, anomalies, row.at),
        )
        self.ticks += 1
        seen = Tick(
            number=self.ticks,
            at=row.at,
            series=len(self.keys),
            warm=int(self.detector.warm_series),
            anomalies=anomalies,
            bare_rule=bare_rule(scores, self.settings),
            openings=openings,
        )
        self.on_tick(seen)
        self._tell(openings, row.at)
        self.ticked_at = self.clock.monotonic()
        return seen

    def _tell(self, openings: tuple[Opening, ...], at: datetime) -> None:
        live, gate = self.engine.live(), self.engine.gate
        windows = gate.windows() if openings else ()
        outside, inside = apart(openings, windows, self.settings)
        for opening in (*merged_by_group(outside), *merged_by_group(inside)):
            if is_known(opening, live) or gate.knows(opening.keys, windows):
                continue
            if self._may_open():
                facts = opening_facts(opening, self.catalogue, self.history, self.changes())
                self.engine.opening(facts)
        for state in live:
            self.engine.seen(state.incident_id, returns(state, self.history, at), {})

    def _may_open(self) -> bool:
        if self.may_open():
            return True
        self.watcher.on_trouble(
            "another process opens the incidents of this database now, so this one does not; stop "
            "one of the two, or run `holdfast worker` here"
        )
        return False
