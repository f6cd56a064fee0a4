"""Tells of trouble without flooding: the same words again and again are told once in a while.

A store that is away for an hour is one fact, not twenty thousand lines.
"""

import threading
from dataclasses import dataclass, field

from holdfast.engine.ports import Watcher
from holdfast.incident import Record
from holdfast.kernel.clock import Clock

_SAME_AGAIN_S = 10.0
_REMEMBERED_MOST = 256


@dataclass(slots=True, kw_only=True)
class Troubles:
    """A Watcher before the real one. Thread-safe."""

    watcher: Watcher
    clock: Clock
    _told: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_record(self, record: Record) -> None:
        self.watcher.on_record(record)

    def on_trouble(self, text: str) -> None:
        """Pass it on, unless the same was told within the last ten seconds."""
        now = self.clock.monotonic()
        with self._lock:
            if now - self._told.get(text, now - _SAME_AGAIN_S) < _SAME_AGAIN_S:
                return
            if len(self._told) >= _REMEMBERED_MOST:
                self._told.clear()
            self._told[text] = now
        self.watcher.on_trouble(text)
