"""What a series does now and then without anything being wrong.

One failed request in twenty is four sigmas where failures are rare, and it happens every
few minutes. An excursion that came and went alone is a habit; one that a series has shown
twice of late is no symptom when it is shown again. What lasts never becomes a habit.
"""

from collections import deque
from collections.abc import Mapping

from holdfast.detection.anomaly import Anomaly
from holdfast.kernel.catalogue import SignalKey

# How far back habits reach, in windows, and how often makes a habit.
MEMORY_WINDOWS = 5
TIMES = 2


class Habits:
    """The lone excursions of every series, as (tick, how far) of late."""

    def __init__(self, *, ticks: int, window: int) -> None:
        self._reach = ticks - 1
        self._memory = MEMORY_WINDOWS * window
        self._tick = 0
        self._recent: deque[Mapping[SignalKey, Anomaly]] = deque(maxlen=2 * self._reach + 1)
        self._lone: dict[SignalKey, deque[tuple[int, float]]] = {}

    def observe(self, bad: Mapping[SignalKey, Anomaly]) -> None:
        """Take in the anomalies of a tick that are in their bad direction."""
        self._tick += 1
        self._recent.append(bad)
        if len(self._recent) < 2 * self._reach + 1:
            return
        for key, anomaly in self._recent[self._reach].items():
            if sum(key in tick for tick in self._recent) == 1:
                lone = self._lone.setdefault(key, deque())
                lone.append((self._tick, _far(anomaly)))

    def knows(self, anomaly: Anomaly) -> bool:
        """Say whether the series went this far by itself at least twice of late."""
        lone = self._lone.get(anomaly.key)
        if lone is None:
            return False
        while lone and lone[0][0] < self._tick - self._memory:
            lone.popleft()
        return sum(far >= _far(anomaly) for _, far in lone) >= TIMES


def _far(anomaly: Anomaly) -> float:
    """How far in the bad direction: larger is worse, whichever direction that is."""
    return anomaly.value * anomaly.direction
