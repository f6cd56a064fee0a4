"""The one place that reads time.

Everything else is given a Clock, or a `now`. That is what lets a test jump an
hour without waiting and lets a decision be replayed with the same answer.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What time it is, and a way to wait that a test can cut short."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump; only differences mean something."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds have passed; say which (True: set)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class ManualClock:
    """A clock that stands still until a test jumps it; waiting is a jump."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if event.is_set():
            return True
        self.jump(timedelta(seconds=max(timeout_s, 0.0)))
        return event.is_set()

    def jump(self, by: timedelta) -> None:
        """Move both clocks on by `by`."""
        self._now += by
        self._monotonic += by.total_seconds()


def format_at(at: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with microseconds, so that text sorts as time."""
    return _written(at if at.tzinfo is UTC else at.astimezone(UTC))


# An incident's own moments are written with every append. In UTC only: elsewhere two moments of
# the hour that is repeated in autumn count as equal.
@lru_cache(maxsize=4096)
def _written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_at(text: str) -> datetime:
    """Read a moment written in ISO 8601; one without a zone is taken as UTC.

    Raises ValueError for anything else.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is UTC:  # as everything is that was written here
        return at
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:  # within a day of the first or the last moment that there is
        raise ValueError(f"{text!r:.80} is no moment in UTC") from None
