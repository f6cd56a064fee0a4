from datetime import UTC, datetime
from math import nan

import numpy as np
import pytest

from holdfast.detection import (
    Anomaly,
    Baseline,
    ZScore,
    baseline_at,
    is_return,
    list_anomalies,
    score_series,
    spec_confidence,
)
from holdfast.kernel.catalogue import SignalKey
from tests.detection.test_zscore import shapes

AT = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
KEY = SignalKey("shop", "north", "errors")


@pytest.mark.parametrize("seed", [11, 12])
def test_a_file_gets_the_verdicts_of_the_tick_path(seed: int) -> None:
    rows = shapes(seed, 260)
    detector = ZScore(rows.shape[1])
    lived = []
    for row in rows:
        tick = detector.tick(row)
        lived.append((tick.score.copy(), tick.anomaly.copy(), tick.critical.copy()))
    for series in range(rows.shape[1]):
        whole = score_series(rows[:, series])
        assert whole.anomaly.tolist() == [bool(a[series]) for _, a, _ in lived]
        assert whole.critical.tolist() == [bool(c[series]) for _, _, c in lived]
        assert whole.score == pytest.approx([s[series] for s, _, _ in lived], rel=1e-9, abs=1e-9)


def test_a_file_longer_than_a_chunk_is_judged_without_a_seam() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    whole = score_series(values)

    for row in (8191, 8192, 8193, 16384):
        window = values[row - 60 : row]
        assert whole.score[row] == pytest.approx(abs(values[row] - window.mean()) / window.std())


def test_gaps_and_the_first_rows_have_no_expectation() -> None:
    values = np.array([1.0, 2.0] * 20)
    values[35] = nan
    whole = score_series(values)

    assert np.isnan(whole.expected[:30]).all()
    assert np.isnan(whole.expected[35])
    assert whole.score[35] == 0.0
    assert whole.low[36] < whole.expected[36] < whole.high[36]


def test_an_empty_file_has_no_rows() -> None:
    assert len(score_series(np.empty(0)).score) == 0


def test_the_reason_names_reading_range_mean_and_score() -> None:
    history = np.tile([[0.0], [0.02]], (30, 1))
    detector = ZScore(1)
    detector.warm(history)

    (anomaly,) = list_anomalies(detector.tick(np.array([0.33])), [KEY], AT)

    assert anomaly.reason == (
        "errors of shop in north at 0.330, expected up to 0.040 "
        "(mean 0.010 of the last 60 samples), 32.0 sigma"
    )
    assert anomaly.severity == "critical"
    assert anomaly.direction == 1
    assert anomaly.confidence == 0.99
    assert anomaly.as_data()["service"] == "shop"


def test_the_reason_of_a_change_on_a_constant_series_says_so() -> None:
    detector = ZScore(2)
    detector.warm(np.zeros((40, 2)))

    (anomaly,) = list_anomalies(detector.tick(np.array([0.0, 0.05])), [KEY, KEY], AT)

    assert anomaly.reason == "errors of shop in north constant at 0.000 for 40 samples, now 0.050"
    assert anomaly.severity == "warning"


def test_confidence_is_as_specified() -> None:
    assert spec_confidence(0.0) == 0.0
    assert spec_confidence(3.0) == pytest.approx(1 - np.exp(-3))
    assert spec_confidence(40.0) == 0.99


def test_a_baseline_is_taken_from_the_samples_before_the_moment() -> None:
    times = np.arange(100.0)
    values = np.where(times < 90, 10.0, 500.0)
    values[50] = nan

    baseline = baseline_at(times, values, 90.0)

    assert baseline == Baseline(expected=10.0, median=10.0, low=10.0, high=10.0, samples=60)
    assert baseline_at(times, values, 0.0) is None


def moved(*, value: float, expected: float) -> Anomaly:
    return Anomaly(
        key=KEY, at=AT, value=value, expected=expected, low=expected, high=expected, score=5.0,
        confidence=0.99, severity="critical", direction=1 if value > expected else -1, reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected", "back"),
    [
        (0.01, 0.33, True),  # back inside
        (0.10, 0.33, True),  # on the way
        (0.50, 0.33, False),  # worse
        (0.33, 0.01, False),  # the fault itself
        (-0.5, 0.33, False),  # out at the other side
        (0.0, -3.0, True),  # from below
    ],
)
def test_a_return_moves_towards_the_old_range(value: float, expected: float, back: bool) -> None:  # noqa: FBT001
    old = Baseline(expected=0.01, median=0.01, low=0.0, high=0.02, samples=60)

    assert is_return(moved(value=value, expected=expected), old) is back
