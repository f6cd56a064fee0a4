"""What one tick of a detector says about all series, as arrays.

Frozen, but a view: the arrays are the detector's own buffers and hold until its next tick,
because copying them would cost as much as computing them. Take what is needed at once
(`list_anomalies` does).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.detection.exact import Floats, Mask

CONFIDENCE_MAX = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One tick: `values` as given, the window's mean (`expected`) and variance, the verdicts.

    `limit` is how many sigmas the expected range reaches to either side. A gap scores 0; a
    series that is not `warm` yet scores 0 and expects what it has seen so far, or NaN.
    """

    values: Floats
    expected: Floats
    variance: Floats
    score_squared: Floats
    anomaly: Mask
    critical: Mask
    constant: NDArray[np.intp]
    samples: NDArray[np.int32]
    min_samples: int
    limit: float

    @property
    def sigma(self) -> Floats:
        return np.sqrt(self.variance)

    @property
    def score(self) -> Floats:
        """Distance from the expected value in sigmas, >= 0. The root is taken when read."""
        return np.sqrt(self.score_squared)

    @property
    def low(self) -> Floats:
        return self.expected - self.limit * self.sigma

    @property
    def high(self) -> Floats:
        return self.expected + self.limit * self.sigma

    @property
    def direction(self) -> NDArray[np.int8]:
        """+1 above the expected value, -1 below, 0 equal or unknown."""
        above, below = self.values > self.expected, self.values < self.expected
        return above.astype(np.int8) - below.astype(np.int8)

    @property
    def warm(self) -> Mask:
        enough: Mask = self.samples >= self.min_samples
        return enough

    @property
    def anomalies(self) -> int:
        return int(np.count_nonzero(self.anomaly))

    @property
    def criticals(self) -> int:
        return int(np.count_nonzero(self.critical))


def spec_confidence(score: float) -> float:
    """The specified confidence of a score in sigmas: min(0.99, 1 - exp(-z))."""
    return min(CONFIDENCE_MAX, 1.0 - float(np.exp(-score)))
