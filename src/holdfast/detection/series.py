"""The same rule over one long series, for files: every row judged by the 60 samples before it.

Windows are laid side by side in chunks and judged by `exact.judge`, two passes each, so a
file gets the very verdicts that the tick path gives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from holdfast.detection.anomaly import explain
from holdfast.detection.exact import Floats, Mask, judge
from holdfast.detection.scores import CONFIDENCE_MAX
from holdfast.detection.settings import DetectorSettings

CHUNK = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesScores:
    """One value per row of a series; `expected`, `low`, `high` are NaN before enough samples."""

    values: Floats
    expected: Floats
    low: Floats
    high: Floats
    score: Floats
    confidence: Floats
    anomaly: Mask
    critical: Mask
    constant: Mask
    samples: Floats

    def reason(self, row: int) -> str:
        """Say why a row is anomalous, or nothing where it is not."""
        if not self.anomaly[row]:
            return ""
        columns = (self.values, self.expected, self.low, self.high, self.score)
        value, mean, low, high, score = (float(column[row]) for column in columns)
        return explain(
            value,
            mean,
            low,
            high,
            score,
            samples=int(self.samples[row]),
            constant=bool(self.constant[row]),
        )


def score_series(values: Floats, settings: DetectorSettings | None = None) -> SeriesScores:
    """Judge every row of `values` (rows,), NaN or infinite for a gap; about 1 µs a row."""
    settings = settings or DetectorSettings()
    finite = np.isfinite(values)
    found = _judge_samples(values[finite], settings)
    columns = {name: _spread(column, finite) for name, column in found.items()}
    confidence = np.minimum(CONFIDENCE_MAX, 1.0 - np.exp(-columns["score"]))
    return SeriesScores(
        values=values,
        expected=np.where(finite, columns["mean"], np.nan),
        low=np.where(finite, columns["low"], np.nan),
        high=np.where(finite, columns["high"], np.nan),
        score=columns["score"],
        confidence=confidence,
        anomaly=columns["anomaly"] > 0,
        critical=columns["critical"] > 0,
        constant=columns["constant"] > 0,
        samples=columns["count"],
    )


def _judge_samples(samples: Floats, settings: DetectorSettings) -> dict[str, Floats]:
    names = ("mean", "low", "high", "score", "anomaly", "critical", "constant", "count")
    out = {name: np.zeros(len(samples)) for name in names}
    if not len(samples):
        return out
    padded = np.concatenate((np.full(settings.window, np.nan), samples[:-1]))
    windows = sliding_window_view(padded, settings.window)
    for low in range(0, len(samples), CHUNK):
        part = slice(low, low + CHUNK)
        _judge_chunk(np.ascontiguousarray(windows[part].T), samples[part], part, out, settings)
    return out


def _judge_chunk(
    window: Floats,
    readings: Floats,
    part: slice,
    out: dict[str, Floats],
    settings: DetectorSettings,
) -> None:
    judged = judge(window, readings, settings)
    reach = settings.anomaly_sigma * judged.sigma
    known = judged.count >= settings.min_samples
    out["mean"][part] = np.where(known, judged.mean, np.nan)
    out["low"][part] = np.where(known, judged.mean - reach, np.nan)
    out["high"][part] = np.where(known, judged.mean + reach, np.nan)
    for name in ("score", "anomaly", "critical", "constant", "count"):
        out[name][part] = getattr(judged, name)


def _spread(column: Floats, finite: Mask) -> Floats:
    """Give back their rows to the samples; a gap has 0."""
    whole = np.zeros(len(finite))
    whole[finite] = column
    return whole
