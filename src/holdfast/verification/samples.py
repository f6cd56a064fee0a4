"""Which samples may speak for the time after a step, and for how long they have been good.

A rate spans two scrapes, so the first sample after a step may mix what was before with what came
after: only a sample whose span began after the step ended counts, and then it speaks for its whole
span. A gauge is read at one moment and speaks for that. A gap (NaN), or a tick that
nobody sampled, breaks the run: what nobody saw is not assumed to have been good.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.kernel import SignalKey

# A tick that comes late by half an interval is no gap; one that never came is (2 intervals).
_GAP_INTERVALS = 1.75


class Span(StrEnum):
    """What a sample speaks for."""

    MOMENT = "moment"  # a gauge: how it was when it was read
    INTERVAL = "interval"  # a rate: the time since the sample before it
    UNKNOWN = "unknown"  # a query: nobody knows how far it looks back


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of one series. A value that is no finite number is a gap."""

    at: datetime
    service: str
    region: str
    signal: str
    value: float

    @property
    def key(self) -> SignalKey:
        return SignalKey(self.service, self.region, self.signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that was sampled of a series at one moment; `value` is None for a gap.

    Two different answers for one moment are no answer, so `value` is then None too. `since`: from
    when on it speaks.
    """

    at: datetime
    value: float | None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The readings of one series after the step, oldest first, and how many were left out."""

    readings: tuple[Reading, ...]
    mixed: int = 0

    @property
    def newest(self) -> Reading | None:
        return self.readings[-1] if self.readings else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The unbroken run of readings that hold, up to the newest one."""

    count: int = 0
    lasted_s: float = 0.0


def readings_of(
    samples: Iterable[Sample], key: SignalKey, *, until: datetime
) -> tuple[Reading, ...]:
    """Collect one series in the order of time; what claims to come from the future is left out."""
    values: dict[datetime, set[float | None]] = {}
    for sample in samples:
        if sample.key == key and sample.at <= until:
            value = sample.value if math.isfinite(sample.value) else None
            values.setdefault(sample.at, set()).add(value)
    return tuple(
        Reading(at=at, value=found.pop() if len(found) == 1 else None)
        for at, found in sorted(values.items())
    )


def fresh_after(
    readings: Sequence[Reading],
    *,
    ended_at: datetime,
    interval_s: float,
    span: Span = Span.UNKNOWN,
) -> Fresh:
    """Keep the readings whose span began after the step ended."""
    kept: list[Reading] = []
    mixed = 0
    span_began: datetime | None = None
    for reading in readings:
        began = reading.at
        if span is not Span.MOMENT:
            began -= timedelta(seconds=interval_s)
            if span_began is not None and reading.value is not None:
                began = min(began, span_began)
        if reading.at > ended_at:
            if began >= ended_at:
                since = reading.at if span is Span.UNKNOWN else began
                kept.append(replace(reading, since=since))
            else:
                mixed += 1
        if reading.value is not None:
            span_began = reading.at
    return Fresh(readings=tuple(kept), mixed=mixed)


def good_run(
    readings: Sequence[Reading], *, holds: Callable[[float], bool], interval_s: float
) -> Run:
    """Measure the unbroken run of readings that hold, ending with the newest."""
    newest: datetime | None = None
    oldest: datetime | None = None
    since: datetime | None = None
    count = 0
    for reading in reversed(readings):
        gap = (
            oldest is not None
            and (oldest - reading.at).total_seconds() > _GAP_INTERVALS * interval_s
        )
        if gap or reading.value is None or not holds(reading.value):
            break
        newest = newest or reading.at
        oldest = reading.at
        since = reading.since or reading.at
        count += 1
    lasted_s = (newest - since).total_seconds() if newest and since else 0.0
    return Run(count=count, lasted_s=lasted_s)
