"""Samples become anomalies, anomalies become a health verdict; nothing here reads or waits.

All series are judged together as numpy arrays, one tick at a time, and only what stands out
becomes objects. Every verdict carries its reason: reading, threshold, source, time.
"""

from holdfast.detection.anomaly import Anomaly, Severity, list_anomalies
from holdfast.detection.baseline import Baseline, baseline_at, baseline_of, is_return
from holdfast.detection.composite import Composite, bare_rule
from holdfast.detection.derive import Deriver, Samples, Selector, parse_selector, selectors_of
from holdfast.detection.limits import Watch
from holdfast.detection.opening import Opening
from holdfast.detection.scores import Scores, spec_confidence
from holdfast.detection.series import SeriesScores, score_series
from holdfast.detection.settings import CompositeSettings, DetectorSettings
from holdfast.detection.zscore import ZScore

__all__ = [
    "Anomaly",
    "Baseline",
    "Composite",
    "CompositeSettings",
    "Deriver",
    "DetectorSettings",
    "Opening",
    "Samples",
    "Scores",
    "Selector",
    "SeriesScores",
    "Severity",
    "Watch",
    "ZScore",
    "bare_rule",
    "baseline_at",
    "baseline_of",
    "is_return",
    "list_anomalies",
    "parse_selector",
    "score_series",
    "selectors_of",
    "spec_confidence",
]
