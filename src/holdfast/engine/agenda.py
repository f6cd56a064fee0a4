"""Which incidents are to be looked at, and when the next one is.

Ten thousand incidents that wait for something cost nothing until it comes: a
round looks at what is due and at nothing else.
"""

import heapq
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Agenda:
    """Names to look at now, and names with a time. Thread-safe."""

    _now: dict[str, None] = field(default_factory=dict)
    _later: list[tuple[datetime, str]] = field(default_factory=list)
    _earliest: dict[str, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self, name: str) -> None:
        """Look at this one in the next round."""
        with self._lock:
            self._now[name] = None

    def at(self, when: datetime, name: str) -> None:
        """Look at this one then. An earlier time for the same one stays; a look costs little."""
        with self._lock:
            known = self._earliest.get(name)
            if known is None or when < known:
                self._earliest[name] = when
                heapq.heappush(self._later, (when, name))

    def due(self, now: datetime) -> Sequence[str]:
        """Take what is to be looked at by now, each name once."""
        with self._lock:
            names, self._now = self._now, {}
            while self._later and self._later[0][0] <= now:
                when, name = heapq.heappop(self._later)
                if self._earliest.get(name) == when:
                    del self._earliest[name]
                names[name] = None
        return tuple(names)

    def wait_s(self, now: datetime, most: float) -> float:
        """Say how many seconds there are until the next one, `most` at the longest."""
        with self._lock:
            if self._now:
                return 0.0
            if not self._later:
                return most
            return min(max((self._later[0][0] - now).total_seconds(), 0.0), most)
