"""The metric history as the engine reads it: one lock between the sampler and the readers."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from holdfast.engine.ports import Floats
from holdfast.kernel.catalogue import SignalKey
from holdfast.sources import HistoryFile


class HistoryReadings:
    """Fulfils `engine.monitor.History` over a HistoryFile."""

    def __init__(self, file: HistoryFile, on_trouble: Callable[[str], None]) -> None:
        self._file = file
        self._on_trouble = on_trouble
        self._lock = threading.Lock()

    def append(self, at: datetime, values: Floats) -> None:
        """Keep one tick. A file that can't be written is told of once, not every tick."""
        with self._lock:
            before = self._file.problem
            self._file.append(at, values)
            problem = self._file.problem
        if problem and not before:
            self._on_trouble(problem)

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        """Give all timestamps and values of a series; both empty for one that is not kept."""
        with self._lock:
            try:
                timestamps, values = self._file.column(key)
            except KeyError:
                return np.empty(0), np.empty(0)
            return np.array(timestamps), np.array(values)

    def recent(self, key: SignalKey, count: int) -> Sequence[tuple[datetime, float]]:
        timestamps, values = self.column(key)
        return _pairs(timestamps[-count:], values[-count:])

    def since(self, key: SignalKey, since: datetime) -> Sequence[tuple[datetime, float]]:
        timestamps, values = self.column(key)
        start = int(np.searchsorted(timestamps, since.timestamp(), side="left"))
        return _pairs(timestamps[start:], values[start:])


def _pairs(timestamps: Floats, values: Floats) -> list[tuple[datetime, float]]:
    return [
        (datetime.fromtimestamp(at, UTC), value)
        for at, value in zip(timestamps.tolist(), values.tolist(), strict=True)
    ]
