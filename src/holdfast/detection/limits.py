"""Declared limits and failed scrapes: what no statistics is needed for.

A slow leak never leaves three sigmas and a dead target sends no samples, so these open an
incident by themselves. One odd reading does not: a limit has to hold for its samples.
"""

import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from holdfast.detection.anomaly import figure
from holdfast.detection.exact import Floats
from holdfast.detection.opening import Opening
from holdfast.kernel.catalogue import UP, Catalogue, Limit, SignalKey
from holdfast.kernel.clock import format_at
from holdfast.kernel.reason import Reason

Sample = tuple[datetime, float]


class Watch:
    """The last samples of the series that have a declared limit, and of every `up`."""

    def __init__(
        self, catalogue: Catalogue, keys: Sequence[SignalKey], *, down_after: int = 2
    ) -> None:
        self._catalogue = catalogue
        self._limits = tuple(
            (place, key, limit)
            for place, key in enumerate(keys)
            for limit in _limits(catalogue, key, down_after)
        )
        self._samples: dict[tuple[int, Limit], deque[Sample]] = {
            (place, limit): deque(maxlen=limit.for_samples + (_is_growth(limit)))
            for place, _, limit in self._limits
        }

    def observe(self, values: Floats, at: datetime) -> tuple[Opening, ...]:
        """Take a tick in; give an opening for every limit that holds now.

        A gap is no sample: it neither counts towards a limit nor clears it.
        """
        openings = []
        for place, key, limit in self._limits:
            samples = self._samples[place, limit]
            value = float(values[place])
            if not math.isfinite(value):
                continue
            samples.append((at, value))
            if _exceeded(samples, limit):
                openings.append(self._opening(key, limit, samples, at))
        return tuple(openings)

    def _opening(
        self, key: SignalKey, limit: Limit, samples: deque[Sample], at: datetime
    ) -> Opening:
        down = key.signal == UP
        reason = _down(key, samples, at) if down else _over(key, limit, samples, at)
        return Opening(
            cause="down" if down else "limit",
            group=self._catalogue.group_of(key.service),
            services=(key.service,),
            regions=(key.region,),
            keys=(key,),
            anomalies=(),
            severity="critical",
            reason=reason.text,
            reasons=(reason,),
            started_at=samples[0][0],
            at=at,
        )


def _limits(catalogue: Catalogue, key: SignalKey, down_after: int) -> list[Limit]:
    if key.signal == UP:
        return [Limit(signal=UP, below=1.0, for_samples=down_after)]
    return [x for x in catalogue.services[key.service].limits if x.signal == key.signal]


def _is_growth(limit: Limit) -> bool:
    return limit.growth_per_minute_above is not None


def _exceeded(samples: deque[Sample], limit: Limit) -> bool:
    if len(samples) < (samples.maxlen or 0):
        return False
    if limit.growth_per_minute_above is not None:
        return growth_per_minute(samples) > limit.growth_per_minute_above
    above, below = limit.above, limit.below
    return all(
        (above is not None and value > above) or (below is not None and value < below)
        for _, value in samples
    )


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


def _down(key: SignalKey, samples: deque[Sample], at: datetime) -> Reason:
    return Reason(
        rule="target_down",
        ok=False,
        text=f"{key.service} in {key.region} has not answered {len(samples)} scrapes in a row",
        reading="up 0",
        threshold=f"up below 1 for {len(samples)} samples",
        source="scrape",
        at=format_at(at),
    )


def _over(key: SignalKey, limit: Limit, samples: deque[Sample], at: datetime) -> Reason:
    value = figure(samples[-1][1])
    if limit.growth_per_minute_above is not None:
        growth = figure(growth_per_minute(samples))
        text = f"{key} grows by {growth} a minute over {limit.for_samples} samples, now {value}"
        bound = f"above {figure(limit.growth_per_minute_above)} a minute"
        reading = f"{growth} a minute"
    elif limit.above is not None:
        bound = f"above {figure(limit.above)}"
        text, reading = f"{key} at {value}, {bound} for {limit.for_samples} samples", value
    else:
        bound = f"below {figure(limit.below or 0.0)}"
        text, reading = f"{key} at {value}, {bound} for {limit.for_samples} samples", value
    return Reason(
        rule="declared_limit",
        ok=False,
        text=text,
        reading=reading,
        threshold=f"{bound} for {limit.for_samples} samples",
        source=f"limits.{limit.signal} of {key.service} in the catalogue",
        at=format_at(at),
    )
