"""One anomalous reading, with the reason in words.

Only the few readings that are anomalous become objects; the rest stay in arrays. The words
are made here once, and the timeline shows them as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from holdfast.detection.scores import Scores, spec_confidence
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.clock import format_at

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """A reading outside its expected range. `direction` is +1 above, -1 below."""

    key: SignalKey
    at: datetime
    value: float
    expected: float
    low: float
    high: float
    score: float
    confidence: float
    severity: Severity
    direction: int
    reason: str

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data, as events and evidence carry it."""
        return {
            "service": self.key.service,
            "region": self.key.region,
            "signal": self.key.signal,
            "at": format_at(self.at),
            "value": self.value,
            "expected": self.expected,
            "low": self.low,
            "high": self.high,
            "score": round(self.score, 3),
            "confidence": round(self.confidence, 4),
            "severity": self.severity,
            "direction": self.direction,
            "reason": self.reason,
        }


def list_anomalies(scores: Scores, keys: Sequence[SignalKey], at: datetime) -> tuple[Anomaly, ...]:
    """List what is anomalous in a tick, in the order of the series."""
    (found,) = scores.anomaly.nonzero()
    if not len(found):
        return ()
    constant = frozenset(scores.constant.tolist())
    expected, variance = scores.expected[found], scores.variance[found]
    columns = (
        found,
        scores.values[found],
        expected,
        np.sqrt(variance),
        np.sqrt(scores.score_squared[found]),
        scores.critical[found],
        scores.samples[found],
    )
    return tuple(
        _anomaly(
            keys[i],
            at,
            value,
            mean,
            sigma * scores.limit,
            score,
            critical=critical,
            samples=samples,
            constant=i in constant,
        )
        for i, value, mean, sigma, score, critical, samples in zip(
            *(column.tolist() for column in columns), strict=True
        )
    )


def _anomaly(
    key: SignalKey,
    at: datetime,
    value: float,
    mean: float,
    reach: float,
    score: float,
    *,
    critical: bool,
    samples: int,
    constant: bool,
) -> Anomaly:
    low, high = mean - reach, mean + reach
    words = explain(value, mean, low, high, score, samples=samples, constant=constant)
    return Anomaly(
        key=key,
        at=at,
        value=value,
        expected=mean,
        low=low,
        high=high,
        score=score,
        confidence=spec_confidence(score),
        severity="critical" if critical else "warning",
        direction=1 if value > mean else -1,
        reason=f"{key} {words}",
    )


def explain(
    value: float,
    mean: float,
    low: float,
    high: float,
    score: float,
    *,
    samples: int,
    constant: bool,
) -> str:
    """Say why a reading is anomalous, without the name of the series."""
    if constant:
        return f"constant at {figure(mean)} for {samples} samples, now {figure(value)}"
    # Three sigmas below the mean of what is never negative is no bound that means anything.
    expected = f"up to {figure(high)}" if low < 0 <= mean < value else _between(low, high)
    return (
        f"at {figure(value)}, expected {expected} "
        f"(mean {figure(mean)} of the last {samples} samples), {score:.1f} sigma"
    )


def _between(low: float, high: float) -> str:
    return f"{figure(low)} to {figure(high)}"


def figure(value: float) -> str:
    """Write a number as people read it: four digits that count, no more."""
    size = abs(value)
    if value == 0.0 or 0.001 <= size < 1e6:  # noqa: PLR2004 - where plain digits read best
        decimals = 3 if size < 10 else 1 if size < 1000 else 0  # noqa: PLR2004
        return f"{value:.{decimals}f}"
    return f"{value:.4g}"
