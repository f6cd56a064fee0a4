"""Which way a series goes: falling, rising, or neither, told by a rule that one outlier can't bend.

The slope is the median of the slopes between all pairs of readings (Theil 1950, Sen 1968); whether
it is more than chance says the rank test of Mann (1945) and Kendall, with its correction for ties.
What is flat is neither falling nor rising; what can't be told is not taken for either, nor for not.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

from holdfast.verification.samples import Reading

# With four readings even a perfect order would come about by chance once in 24 times.
TREND_SAMPLES_MIN = 5
# One-sided 5 % of the normal distribution: from here on a trend is shown.
SHOWN_Z = 1.645
# One standard deviation: from here on a trend is suspected, and `not rising` is not granted.
SUSPECTED_Z = 1.0
# One outlier at the end of a flat series comes to the root of 3 at most; more than that does not.
FLAT_Z_MAX = 1.96
# A slope is looked for among so many readings; a longer window is thinned out evenly.
_PAIRED_MAX = 200
_EQUAL_WITHIN = 1e-9

FALLING, RISING = "falling", "rising"
TRENDS = (FALLING, RISING, f"not {FALLING}", f"not {RISING}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The robust slope of some readings, per second, and how sure its direction is.

    `z` is the rank statistic in standard deviations: below zero the readings go down.
    """

    slope: float
    z: float
    count: int

    def is_as(self, wanted: str) -> bool:
        """Say whether this is the trend that a criterion asks for, one of TRENDS."""
        sign = -1.0 if wanted.endswith(FALLING) else 1.0
        goes, z = sign * self.slope > 0, sign * self.z
        if wanted.startswith("not "):
            # After a long flat stretch the median slope is zero still, and the ranks tell first.
            return not (goes and z >= SUSPECTED_Z) and z < FLAT_Z_MAX
        return goes and z >= SHOWN_Z

    def words(self) -> str:
        """Say it in one word or a few."""
        if self.is_as(FALLING):
            return FALLING
        if self.is_as(RISING):
            return RISING
        if not self.is_as(f"not {FALLING}"):
            return f"perhaps {FALLING}"
        return "flat" if self.is_as(f"not {RISING}") else f"perhaps {RISING}"

    def reading(self) -> str:
        """Give the slope as it is shown."""
        return f"{60 * self.slope:+.4g} per min in {self.count} samples"


def trend_of(readings: Sequence[Reading], *, window_s: float, slack_s: float) -> Trend | None:
    """Find the trend of the last `window_s` seconds of an unbroken run, oldest reading first.

    None where there are too few readings, or numbers too large to be told apart. `slack_s`
    forgives a tick that came a little early.
    """
    if not readings:
        return None
    since = readings[-1].at - timedelta(seconds=window_s + slack_s)
    points = [(r.at, r.value) for r in readings if r.value is not None and r.at >= since]
    if len(points) < TREND_SAMPLES_MIN:
        return None
    points = _thinned(points)
    ranks = _ranks([value for _, value in points])
    slope = _slope(points, ranks)
    return Trend(slope=slope, z=_z(ranks), count=len(points)) if math.isfinite(slope) else None


def _thinned(points: list[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """Keep every n-th reading, the newest among them."""
    step = -(-len(points) // _PAIRED_MAX)
    return points[::-1][::step][::-1]


def _ranks(values: Sequence[float]) -> list[int]:
    """Number the values from the lowest on; what differs by rounding alone is a tie."""
    found: dict[float, int] = {}
    first, rank = 0.0, -1
    for value in sorted(set(values)):
        tie = math.isclose(value, first, rel_tol=_EQUAL_WITHIN, abs_tol=_EQUAL_WITHIN)
        if rank < 0 or not tie:
            first, rank = value, rank + 1
        found[value] = rank
    return [found[value] for value in values]


def _slope(points: Sequence[tuple[datetime, float]], ranks: Sequence[int]) -> float:
    """Give the median slope of all pairs, per second; a tie is a slope of zero."""
    pairs = combinations(zip(points, ranks, strict=True), 2)
    return median(
        (b - a) / (to - since).total_seconds() if later != earlier else 0.0
        for ((since, a), earlier), ((to, b), later) in pairs
    )


def _z(ranks: Sequence[int]) -> float:
    """Give the rank statistic in standard deviations, one step nearer to zero (continuity)."""
    score = sum((b > a) - (b < a) for a, b in combinations(ranks, 2))
    ties = sum(map(_weight, Counter(ranks).values()))
    variance = (_weight(len(ranks)) - ties) / 18
    if score == 0 or variance <= 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance)


def _weight(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)
