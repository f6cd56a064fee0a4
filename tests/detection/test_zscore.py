import math
import random

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from holdfast.detection.exact import Floats
from holdfast.detection.settings import DetectorSettings
from holdfast.detection.zscore import ZScore
from holdfast.kernel.errors import BadInputError
from tests.detection.exact_rule import CALM, Verdict, exact_verdicts

NAN, INF = math.nan, math.inf


def run(readings: Floats) -> list[list[Verdict]]:
    """Feed `readings` (ticks, series) through a fresh detector; verdicts per series."""
    detector = ZScore(readings.shape[1])
    out: list[list[Verdict]] = [[] for _ in range(readings.shape[1])]
    for row in readings:
        scores = detector.tick(row)
        for series, verdict in enumerate(
            zip(
                scores.score.tolist(),
                scores.anomaly.tolist(),
                scores.critical.tolist(),
                strict=True,
            )
        ):
            out[series].append(Verdict(*verdict))
    return out


def agree(readings: Floats) -> None:
    for series, got in enumerate(run(readings)):
        wanted = exact_verdicts(readings[:, series].tolist())
        for tick, (g, w) in enumerate(zip(got, wanted, strict=True)):
            where = f"series {series} tick {tick}: {g} for {w}"
            assert (g.anomaly, g.critical) == (w.anomaly, w.critical), where
            assert math.isclose(g.score, min(w.score, 1e150), rel_tol=1e-9, abs_tol=1e-9), where


def gaussian(seed: int, ticks: int, series: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(ticks, series))


def shapes(seed: int, ticks: int) -> Floats:
    """Series of every kind that rounding could turn, side by side."""
    rng = np.random.default_rng(seed)
    noise = gaussian(seed, ticks, 14)
    t = np.arange(ticks)
    noise[:, 1] = 1e9 + 1e-3 * noise[:, 1]
    noise[:, 2] = np.where(t == 90, 1e15, noise[:, 2])
    noise[:, 3] = np.where(rng.random(ticks) < 0.3, NAN, noise[:, 3])
    noise[:, 4] = 7.3
    noise[:, 5] = np.where(t > 110, 0.1 + 1e-9, 0.1)
    noise[:, 6] = np.where(t % 37 == 0, INF, rng.pareto(1.1, ticks))
    noise[:, 7] = np.where(t == 100, 1e300, np.where(t == 130, -1.7e308, noise[:, 7]))
    noise[:, 8] = np.where(t > 120, 1e6, 0.0) + 1e-3 * noise[:, 8]
    noise[:, 9] = (rng.random(ticks) < 0.06) * 0.05
    noise[:, 10] = np.where(t < 80, 1e6 * noise[:, 10], 1e-3 * noise[:, 10])
    noise[:, 11] = np.where((t > 70) & (t < 140), NAN, np.exp(t * 0.1))
    noise[:, 12] = rng.integers(0, 3, ticks)
    noise[:, 13] = 1e9 + rng.integers(0, 2, ticks) * 1e-6
    return noise


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_rule_gives_the_verdicts_of_the_exact_one(seed: int) -> None:
    agree(shapes(seed, 260))


READING = st.one_of(
    st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-60),
    st.sampled_from(
        [
            0.0,
            0.0,
            1.0,
            1.0,
            1.0,
            -1.0,
            1e15,
            -1e15,
            1e9,
            1e9 + 1e-3,
            1e160,
            -1e308,
            NAN,
            INF,
            -INF,
            0.1,
        ]
    ),
)


# not shrunk: the exact rule is slow, and the numbers in the assertion say enough
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    rows=hnp.arrays(np.float64, (12, 4), elements=READING),
    seed=st.integers(0, 2**32),
    quiet=st.integers(0, 3),
)
def test_no_mixture_of_readings_turns_a_verdict(rows: Floats, seed: int, quiet: int) -> None:
    order = random.Random(seed)
    ticks = [rows[order.randrange(len(rows))] for _ in range(70)]
    ticks += [rows[quiet]] * order.randrange(70)
    ticks += [rows[order.randrange(len(rows))] for _ in range(70)]
    agree(np.array(ticks))


def test_the_limits_are_three_and_four_sigmas_of_the_population() -> None:
    history = np.tile([[-1.0], [1.0]], (30, 1))  # mean 0, sigma 1
    for reading, anomaly, critical in (
        (3.0, False, False),
        (3.001, True, False),
        (-4.001, True, True),
    ):
        detector = ZScore(1)
        detector.warm(history)
        scores = detector.tick(np.array([reading]))
        assert scores.score[0] == pytest.approx(abs(reading))
        assert (scores.anomaly[0], scores.critical[0]) == (anomaly, critical)
        assert (scores.expected[0], scores.low[0], scores.high[0]) == pytest.approx(
            (0, -3, 3), abs=1e-9
        )
        assert scores.direction[0] == np.sign(reading)


def test_nothing_is_judged_before_thirty_samples() -> None:
    readings = [1.0, 2.0] * 14 + [1.0, 1e6, 1e6]
    verdicts = run(np.array(readings)[:, None])[0]

    assert verdicts[29] == CALM
    assert verdicts[30].anomaly


def test_a_gap_neither_scores_nor_enters_the_window() -> None:
    detector, other = ZScore(1), ZScore(1)
    for row in gaussian(1, 100, 1):
        detector.tick(row)
        assert detector.tick(np.array([NAN])).score[0] == 0.0
        other.tick(row)

    last = np.array([2.5])
    assert detector.tick(last).score[0] == pytest.approx(other.tick(last).score[0], rel=1e-12)


def test_a_change_on_a_constant_series_is_a_warning_and_never_critical() -> None:
    for level, reading in ((0.0, 1e-9), (5.0, 5.001), (1.0, 1e12)):
        detector = ZScore(1)
        detector.warm(np.full((60, 1), level))
        scores = detector.tick(np.array([reading]))
        assert 3 < scores.score[0] < 4
        assert scores.anomaly[0]
        assert not scores.critical[0]
        assert scores.constant.tolist() == [0]


def test_the_same_value_on_a_constant_series_scores_nothing() -> None:
    detector = ZScore(1)
    detector.warm(np.full((60, 1), 0.1))

    scores = detector.tick(np.array([0.1]))

    assert scores.score[0] == 0
    assert not scores.anomaly[0]


def test_history_makes_the_same_detector_that_has_seen_it() -> None:
    rows = shapes(3, 200)
    lived, restarted = ZScore(rows.shape[1]), ZScore(rows.shape[1])
    for row in rows:
        lived.tick(row)
    restarted.warm(rows)

    for row in shapes(4, 70):
        a, b = lived.tick(row), restarted.tick(row)
        assert a.anomaly.tolist() == b.anomaly.tolist()
        assert a.score == pytest.approx(b.score, rel=1e-9, abs=1e-9)


def test_new_series_join_without_disturbing_the_others() -> None:
    rows = gaussian(5, 160, 30)
    whole = ZScore(1)
    grown = ZScore(1)
    for tick, row in enumerate(rows):
        if tick == 20:
            grown.add(29)
        a = whole.tick(row[:1])
        b = grown.tick(row[: grown.size])
        assert a.score[0] == b.score[0]
    last = grown.tick(rows[-1])
    assert grown.warm_series == 30
    wanted = exact_verdicts([*rows[20:, 29].tolist(), rows[-1, 29]])[-1]
    assert last.score[29] == pytest.approx(wanted.score, rel=1e-9)


def test_many_blocks_agree_with_one() -> None:
    rows = gaussian(6, 70, 60_000)
    many, one = ZScore(60_000), ZScore(1)
    many.warm(rows[:60])
    one.warm(rows[:60, -1:])
    for row in rows[60:]:
        assert many.tick(row).score[-1] == one.tick(row[-1:]).score[0]


def test_settings_that_make_no_sense_are_refused_with_the_value() -> None:
    with pytest.raises(BadInputError, match="min_samples is 61 with a window of 60"):
        DetectorSettings(min_samples=61)
    with pytest.raises(BadInputError, match=r"critical_sigma is 2\.0"):
        DetectorSettings(critical_sigma=2.0)


def test_a_row_of_the_wrong_length_is_our_bug() -> None:
    with pytest.raises(ValueError, match="readings for 2 series"):
        ZScore(2).tick(np.zeros(3))
