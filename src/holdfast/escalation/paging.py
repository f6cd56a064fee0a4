"""When to call somebody, and at which level.

An incident that is held or escalated calls a person, one that was dismissed never does. Each level
is paged once; the next one is when nobody acknowledged in time, or when the page did not arrive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One call for a person, as it went out."""

    level: int
    sent_at: datetime
    to: str = ""
    delivered: bool = True


class PageReason(StrEnum):
    """Why decide_page() said yes or no; shown in the timeline as it stands."""

    FIRST = "nobody was paged yet"
    ACK_TIMED_OUT = "nobody acknowledged in time"
    UNDELIVERED = "the last page did not arrive"
    WAITING = "the last page may still be answered"
    ANSWERED = "someone acknowledged"
    DISMISSED = "it was a false alarm"
    ENDED = "the incident is over"
    NOT_NEEDED = "nothing asks for a person"
    NOBODY_LEFT = "every level was paged and nobody acknowledged"

    @property
    def should_page(self) -> bool:
        return self in _PAGING


_PAGING = frozenset({PageReason.FIRST, PageReason.ACK_TIMED_OUT, PageReason.UNDELIVERED})

# Phases in which nobody is called, whatever else is true.
_QUIET = {
    "dismissed": PageReason.DISMISSED,
    "merged": PageReason.ENDED,
    "resolved": PageReason.ENDED,
    "closed": PageReason.ENDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDecision:
    """Whether to page, why, and the level that is next (or was last)."""

    reason: PageReason
    level: int

    @property
    def should_page(self) -> bool:
        return self.reason.should_page


def decide_page(
    pages: Sequence[Page],
    *,
    phase: str,
    held: bool,
    escalated: bool,
    acknowledged: bool,
    now: datetime,
    ack_timeout_s: float,
    levels: int = 3,
) -> PageDecision:
    """Say whether to page the next level, and why."""
    reached = max((page.level for page in pages), default=0)
    reason = _QUIET.get(phase)
    if reason is None and not (held or escalated):
        reason = PageReason.NOT_NEEDED
    if reason is None and acknowledged:
        reason = PageReason.ANSWERED
    if reason is None:
        reason = _by_last_page(pages, now, ack_timeout_s)
    if not reason.should_page:
        return PageDecision(reason=reason, level=reached)
    if reached >= levels:
        return PageDecision(reason=PageReason.NOBODY_LEFT, level=reached)
    return PageDecision(reason=reason, level=reached + 1)


def _by_last_page(pages: Sequence[Page], now: datetime, ack_timeout_s: float) -> PageReason:
    if not pages:
        return PageReason.FIRST
    last = max(pages, key=lambda page: (page.level, page.sent_at))
    if not any(page.delivered for page in pages if page.level == last.level):
        return PageReason.UNDELIVERED
    waited_s = (now - last.sent_at).total_seconds()
    return PageReason.ACK_TIMED_OUT if waited_s >= ack_timeout_s else PageReason.WAITING
