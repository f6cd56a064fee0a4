"""The rule itself, by the book: two passes over a window, exact to rounding.

Everything faster in this room is held against this. Values are taken relative to one of
their own before anything is squared, so that an offset of 1e9 with a noise of 1e-3 keeps
its digits, and windows that would overflow are scaled by a power of two first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.detection.settings import TIE, DetectorSettings

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A spread below this share of the mean is rounding: such a series is constant.
CONSTANT_RELATIVE = 1e-9
# Below this everything is zero: its square would no longer be a normal number.
CONSTANT_ABSOLUTE = 1e-140
# From here on squares could overflow, so the window is scaled down by 2 ** -HUGE_SHIFT.
HUGE = 1e140
HUGE_SHIFT = 540
SCORE_MAX = 1e150  # so that its square is a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The rule's answer for each column: arrays of one length, `score` in sigmas."""

    count: NDArray[np.int64]
    mean: Floats
    sigma: Floats
    score: Floats
    anomaly: Mask
    critical: Mask
    constant: Mask


def judge(window: Floats, readings: Floats, settings: DetectorSettings) -> Judged:
    """Judge `readings` (k,) by the samples before them, `window` (w, k) with NaN for none.

    A column with fewer than `min_samples` samples and a reading that is not finite score 0.
    """
    with np.errstate(all="ignore"):
        count, base, shift = _frame(window)
        present = ~np.isnan(window)
        offsets = np.where(present, np.ldexp(window, -shift) - base, 0.0)
        mean = offsets.sum(axis=0) / count
        offsets = np.where(present, offsets - mean, 0.0)
        sigma = np.sqrt(np.square(offsets, out=offsets).sum(axis=0) / count)
        distance = np.abs((np.ldexp(readings, -shift) - base) - mean)
        level = base + mean
        usable = (count >= settings.min_samples) & np.isfinite(readings)
        return _verdicts(count, shift, level, sigma, distance, usable, settings)


def _frame(window: Floats) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Samples per column, the value to measure from, and the binary scale against overflow."""
    low, high = np.fmin.reduce(window, axis=0), np.fmax.reduce(window, axis=0)
    huge = np.maximum(np.abs(low), np.abs(high)) > HUGE
    shift = np.where(huge, HUGE_SHIFT, 0)
    count = (~np.isnan(window)).sum(axis=0)
    return count, np.ldexp(low, -shift), shift


def _verdicts(
    count: NDArray[np.int64],
    shift: NDArray[np.int64],
    level: Floats,
    sigma: Floats,
    distance: Floats,
    usable: Mask,
    settings: DetectorSettings,
) -> Judged:
    floor = np.maximum(CONSTANT_RELATIVE * np.abs(level), CONSTANT_ABSOLUTE)
    constant = sigma <= floor
    changed = constant & (distance > settings.anomaly_sigma * floor) & usable
    spread = np.where(constant, 0.0, sigma)
    z = np.minimum(distance / np.where(constant, 1.0, sigma), SCORE_MAX)
    size = np.maximum(np.abs(level), np.ldexp(1.0, -shift))
    score = np.where(constant, _score_of_change(distance, size, settings), z)
    score = np.where(usable & (changed | ~constant), score, 0.0)
    return Judged(
        count=count,
        mean=np.ldexp(level, shift),
        sigma=np.ldexp(spread, shift),
        score=score,
        anomaly=changed | (~constant & (score > settings.anomaly_sigma * (1 + TIE))),
        critical=~constant & (score > settings.critical_sigma * (1 + TIE)),
        constant=constant,
    )


def _score_of_change(distance: Floats, size: Floats, settings: DetectorSettings) -> Floats:
    """Score a change on a constant series: between the two limits, more for a larger change.

    There is no sigma to count in, so it is an anomaly, always, and never critical by itself.
    """
    low, high = settings.anomaly_sigma, settings.critical_sigma
    share = distance / (distance + size)
    share = np.where(np.isnan(share), 1.0, share)
    score: Floats = np.clip(
        low + (high - low) * share, np.nextafter(low, high), np.nextafter(high, low)
    )
    return score
