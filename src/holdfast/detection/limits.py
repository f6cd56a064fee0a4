"""Declared limits and failed scrapes: what no statistics is needed for.

A slow leak never leaves three sigmas and a dead target sends no samples, so these open an
incident by themselves. One odd reading does not: a limit has to hold for its samples.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import numpy as np

from holdfast.detection.anomaly import figure
from holdfast.detection.exact import Floats
from holdfast.detection.opening import Opening
from holdfast.kernel.catalogue import UP, Catalogue, Limit, SignalKey
from holdfast.kernel.clock import format_at
from holdfast.kernel.reason import Reason

Sample = tuple[datetime, float]
_Entry = tuple[int, SignalKey, Limit]


class Watch:
    """How long each declared limit has been passed, and each target has not answered.

    Bounds are compared for all series at once; only a trend needs its last samples, and those
    are kept for the few series that have such a limit.
    """

    def __init__(
        self, catalogue: Catalogue, keys: Sequence[SignalKey], *, down_after: int = 2
    ) -> None:
        self._groups = {name: group for group in catalogue.groups() for name in group}
        declared: list[_Entry] = [
            (place, key, limit)
            for place, key in enumerate(keys)
            for limit in _limits(catalogue, key, down_after)
        ]
        self._bounds = [entry for entry in declared if not _is_growth(entry[2])]
        self._places = np.array([place for place, _, _ in self._bounds], dtype=np.intp)
        self._above = _column(limit.above for _, _, limit in self._bounds)
        self._below = _column(limit.below for _, _, limit in self._bounds)
        self._wanted = np.array([limit.for_samples for _, _, limit in self._bounds], dtype=np.int64)
        self._streak = np.zeros(len(self._bounds), dtype=np.int64)
        self._since: dict[int, datetime] = {}
        self._trends = [
            (entry, deque[Sample](maxlen=entry[2].for_samples + 1))
            for entry in declared
            if _is_growth(entry[2])
        ]

    def observe(self, values: Floats, at: datetime) -> tuple[Opening, ...]:
        """Take a tick in; give an opening for every limit that holds now.

        A gap is no sample: it neither counts towards a limit nor clears it.
        """
        return (*self._passed(values, at), *self._growing(values, at))

    def _passed(self, values: Floats, at: datetime) -> Iterator[Opening]:
        readings = values[self._places]
        with np.errstate(invalid="ignore"):
            passed = (readings > self._above) | (readings < self._below)
        known = np.isfinite(readings)
        self._streak[known & ~passed] = 0
        self._streak[known & passed] += 1
        for n in (known & passed & (self._streak == 1)).nonzero()[0].tolist():
            self._since[n] = at
        for n in (known & (self._streak >= self._wanted)).nonzero()[0].tolist():
            _, key, limit = self._bounds[n]
            if key.signal == UP:
                reason = _down(key, int(self._streak[n]), at)
            else:
                reason = _over(key, limit, float(readings[n]), at)
            yield self._opening(key, reason, self._since[n], at)

    def _growing(self, values: Floats, at: datetime) -> Iterator[Opening]:
        for (place, key, limit), samples in self._trends:
            value = float(values[place])
            if not math.isfinite(value):
                continue
            samples.append((at, value))
            if len(samples) == samples.maxlen:
                growth = growth_per_minute(samples)
                if growth > (limit.growth_per_minute_above or 0.0):
                    reason = _grows(key, limit, growth, value, at)
                    yield self._opening(key, reason, samples[0][0], at)

    def _opening(
        self, key: SignalKey, reason: Reason, started_at: datetime, at: datetime
    ) -> Opening:
        return Opening(
            cause="down" if key.signal == UP else "limit",
            group=self._groups[key.service],
            services=(key.service,),
            regions=(key.region,),
            keys=(key,),
            anomalies=(),
            severity="critical",
            reason=reason.text,
            reasons=(reason,),
            started_at=started_at,
            at=at,
        )


def _column(bounds: Iterable[float | None]) -> Floats:
    """One bound for each entry; NaN where there is none, which no reading passes."""
    return np.array([math.nan if bound is None else bound for bound in bounds], dtype=np.float64)


def _limits(catalogue: Catalogue, key: SignalKey, down_after: int) -> list[Limit]:
    if key.signal == UP:
        return [Limit(signal=UP, below=1.0, for_samples=down_after)]
    return [x for x in catalogue.services[key.service].limits if x.signal == key.signal]


def _is_growth(limit: Limit) -> bool:
    return limit.growth_per_minute_above is not None


def growth_per_minute(samples: Sequence[Sample] | deque[Sample]) -> float:
    """Give the median growth per minute between samples a quarter of the window apart.

    A median (after Theil and Sen) rather than a fitted line: one jump, or one restart that
    frees everything, is not a trend.
    """
    quarter = max(1, len(samples) // 4)
    slopes = sorted(
        60.0 * (later - earlier) / seconds
        for (t0, earlier), (t1, later) in zip(samples, islice(samples, quarter, None), strict=False)
        if (seconds := (t1 - t0).total_seconds()) > 0
    )
    return slopes[(len(slopes) - 1) // 2] if slopes else 0.0


def _down(key: SignalKey, scrapes: int, at: datetime) -> Reason:
    return Reason(
        rule="target_down",
        ok=False,
        text=f"{key.service} in {key.region} has not answered {scrapes} scrapes in a row",
        reading="up 0",
        threshold=f"up below 1 for {scrapes} samples",
        source="scrape",
        at=format_at(at),
    )


def _over(key: SignalKey, limit: Limit, value: float, at: datetime) -> Reason:
    if limit.above is not None:
        bound = f"above {figure(limit.above)}"
    else:
        bound = f"below {figure(limit.below or 0.0)}"
    text = f"{key} at {figure(value)}, {bound} for {limit.for_samples} samples"
    return _declared(key, limit, text, reading=figure(value), bound=bound, at=at)


def _grows(key: SignalKey, limit: Limit, growth: float, value: float, at: datetime) -> Reason:
    bound = f"above {figure(limit.growth_per_minute_above or 0.0)} a minute"
    text = (
        f"{key} grows by {figure(growth)} a minute over {limit.for_samples} samples, "
        f"now {figure(value)}"
    )
    reading = f"{figure(growth)} a minute"
    return _declared(key, limit, text, reading=reading, bound=bound, at=at)


def _declared(
    key: SignalKey, limit: Limit, text: str, *, reading: str, bound: str, at: datetime
) -> Reason:
    return Reason(
        rule="declared_limit",
        ok=False,
        text=text,
        reading=reading,
        threshold=f"{bound} for {limit.for_samples} samples",
        source=f"limits.{limit.signal} of {key.service} in the catalogue",
        at=format_at(at),
    )
