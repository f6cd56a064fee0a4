"""What a series was like before something happened, and whether it is on its way back.

A rolling detector fires again when a fault ends, because the fault has become its normal.
The range expected when the incident opened is the yardstick that does not move.
"""

from dataclasses import dataclass

import numpy as np

from holdfast.detection.anomaly import Anomaly
from holdfast.detection.exact import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A series before a moment: mean, median and the expected range, from `samples` samples."""

    expected: float
    median: float
    low: float
    high: float
    samples: int


def baseline_of(values: Floats, *, window: int = 60, sigma: float = 3.0) -> Baseline | None:
    """Sum up the last `window` samples of `values` (oldest first); None without any sample."""
    samples = values[np.isfinite(values)][-window:]
    if not len(samples):
        return None
    mean, reach = float(samples.mean()), sigma * float(samples.std())
    return Baseline(
        expected=mean,
        median=float(np.median(samples)),
        low=mean - reach,
        high=mean + reach,
        samples=len(samples),
    )


def baseline_at(
    timestamps: Floats, values: Floats, before: float, *, window: int = 60, sigma: float = 3.0
) -> Baseline | None:
    """Sum up the samples taken before `before` (epoch seconds); `timestamps` ascend."""
    end = int(np.searchsorted(timestamps, before, side="left"))
    return baseline_of(values[:end], window=window, sigma=sigma)


def is_return(anomaly: Anomaly, baseline: Baseline) -> bool:
    """Say whether an anomaly is a move back towards the old level.

    True when the reading is nearer to the old range than the level it was expected at, and
    moved towards that range without leaving it on the other side.
    """
    before = _outside(anomaly.expected, baseline)
    now = _outside(anomaly.value, baseline)
    if before == 0.0:
        return False
    same_side = now == 0.0 or (now > 0) == (before > 0)
    return same_side and abs(now) < abs(before)


def _outside(value: float, baseline: Baseline) -> float:
    """Distance from the range; negative below it, 0 within."""
    if value > baseline.high:
        return value - baseline.high
    return min(value - baseline.low, 0.0)
