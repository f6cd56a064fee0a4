"""Reads the product's events as they come and keeps what a run waits for.

Rule: one place takes events from the queue, so that a wait for one thing never
loses another.
"""

import queue
from collections import Counter, defaultdict
from collections.abc import Callable, Collection

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.holdfast_process import ENDED, Event, Events
from holdfast.sandbox.scenario import DISMISSED, ESCALATED, HELD, RESOLVED

_OVER = frozenset({"resolved", "dismissed", "merged", "closed"})
_HANDED_OVER = frozenset({"held", "escalated", "paged"})
# What a record takes back of what was seen before it.
_UNDOES = {"reopened": _OVER | _HANDED_OVER, "resumed": _HANDED_OVER}
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
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.ticks = 0
        self.bare_rule_fired = 0
        self.last_text = ""
        self.seen: list[Event] = []
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

    def ended(self, outcomes: Collection[str], *, incidents: int = 1) -> bool:
        """Whether that many incidents were seen, and each has come to one of these outcomes."""
        over = bool({RESOLVED, DISMISSED} & set(outcomes))
        handed_over = bool({HELD, ESCALATED} & set(outcomes))
        return len(self.records) >= incidents and all(
            (over and kinds & _OVER) or (handed_over and kinds >= _HANDED_OVER)
            for kinds in self.records.values()
        )

    def first_with(self, kind: str, count: int) -> str | None:
        """Name the first incident that has had so many records of a kind."""
        return next((name for name, seen in self.counts.items() if seen[kind] >= count), None)

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

    def catch_up(self) -> None:
        """Take every event that has come by now."""
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            self._take(event)

    def _take(self, event: Event) -> None:
        match event.get("event"):
            case "tick":
                self.ticks += 1
                self.bare_rule_fired += bool(event["bare_rule"])
                self._series, self._warm = event["series"], event["warm"]
            case "record":
                incident_id, kind = event["incident_id"], event["kind"]
                self.records[incident_id] -= _UNDOES.get(kind, frozenset())
                self.records[incident_id].add(kind)
                self.counts[incident_id][kind] += 1
                self.last_text = f"{event['incident_id']} {event['text']}"
                self.seen.append(event)
            case "trouble":
                self.trouble.append(f"Holdfast met trouble of its own: {event['text']}")
            case _:
                pass
        self._tell(event)
        if event.get("event") == ENDED:
            self._on_death(int(event["code"]))
