"""Reads the product's events as they come and keeps what a run waits for.

Rule: one place takes events from the queue, so that a wait for one thing never
loses another.
"""

import queue
from collections import defaultdict
from collections.abc import Callable

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.holdfast_process import ENDED, Event, Events

_OVER = frozenset({"resolved", "dismissed", "merged", "closed"})
_HANDED_OVER = frozenset({"held", "escalated", "paged"})
_WAIT_S = 0.25  # how late a condition on time alone may be noticed


class Follower:
    """What has been seen so far, and waiting for more."""

    def __init__(
        self, events: Events, tell: Callable[[Event], None], on_death: Callable[[int], None]
    ) -> None:
        self._events = events
        self._tell = tell
        self._on_death = on_death
        self._clock = SystemClock()
        self.records: dict[str, set[str]] = defaultdict(set)
        self.ticks = 0
        self.bare_rule_fired = 0
        self.last_text = ""
        self.trouble: list[str] = []
        self._series = 0
        self._warm = 0

    @property
    def warm(self) -> bool:
        """Whether every series has the samples that a judgement needs."""
        return 0 < self._series <= self._warm

    @property
    def warm_text(self) -> str:
        return f"{self._warm} of {self._series}"

    @property
    def kinds(self) -> set[str]:
        """Every kind of record seen, of any incident."""
        return set().union(*self.records.values())

    @property
    def live(self) -> list[str]:
        """The incidents that have not ended."""
        return [name for name, kinds in self.records.items() if not kinds & _OVER]

    @property
    def ended(self) -> bool:
        """Whether there was an incident, and each is over or in a person's hands."""
        return bool(self.records) and all(
            kinds & _OVER or kinds >= _HANDED_OVER for kinds in self.records.values()
        )

    def until(self, holds: Callable[[], bool], limit_s: float) -> bool:
        """Take events until `holds`, for at most `limit_s`. Says whether it does."""
        deadline = self._clock.monotonic() + limit_s
        while not holds():
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                return False
            try:
                event = self._events.get(timeout=min(left_s, _WAIT_S))
            except queue.Empty:
                continue
            self._take(event)
        return True

    def _take(self, event: Event) -> None:
        match event.get("event"):
            case "tick":
                self.ticks += 1
                self.bare_rule_fired += bool(event["bare_rule"])
                self._series, self._warm = event["series"], event["warm"]
            case "record":
                self.records[event["incident_id"]].add(event["kind"])
                self.last_text = f"{event['incident_id']} {event['text']}"
            case "trouble":
                self.trouble.append(f"Holdfast met trouble of its own: {event['text']}")
            case _:
                pass
        self._tell(event)
        if event.get("event") == ENDED:
            self._on_death(int(event["code"]))
