"""What no series may do: show a trend that it has not. Hypothesis prints what does; fixed seed."""

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel import SignalKey
from holdfast.verification import Sample
from holdfast.verification.samples import readings_of
from holdfast.verification.trend import TREND_SAMPLES_MIN, TRENDS, Trend, trend_of

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
KEY = SignalKey("shop", "east", "depth")
numbers = st.integers(-1000, 1000).map(float)
drawn_series = st.lists(numbers, min_size=TREND_SAMPLES_MIN, max_size=14)
steps = st.lists(st.integers(1, 50).map(float), min_size=TREND_SAMPLES_MIN, max_size=14)
checked = settings(derandomize=True, max_examples=150, deadline=None)


def samples(values: list[float]) -> list[Sample]:
    return [
        Sample(
            at=BEGAN + timedelta(seconds=number),
            service=KEY.service,
            region=KEY.region,
            signal=KEY.signal,
            value=value,
        )
        for number, value in enumerate(values)
    ]


def found(given_samples: list[Sample]) -> Trend | None:
    readings = readings_of(given_samples, KEY, until=BEGAN + timedelta(days=1))
    return trend_of(readings, window_s=1e6, slack_s=0.0)


def words(values: list[float]) -> set[str]:
    trend = found(samples(values))
    assert trend is not None
    return {word for word in TRENDS if trend.is_as(word)}


@checked
@given(steps, numbers)
def test_a_series_that_only_goes_down_is_falling_and_nothing_else(
    falls: list[float], top: float
) -> None:
    down = list(accumulate([top, *falls], lambda level, fall: level - fall))

    assert words(down) == {"falling", "not rising"}
    assert words(down[::-1]) == {"rising", "not falling"}


@checked
@given(drawn_series)
def test_no_series_falls_and_rises_nor_is_what_it_is_not(values: list[float]) -> None:
    told = words(values)

    assert not {"falling", "rising"} <= told
    for word in ("falling", "rising"):
        assert not {word, f"not {word}"} <= told


@checked
@given(drawn_series)
def test_played_backwards_every_trend_is_the_other_one(values: list[float]) -> None:
    other = {
        word.replace("falling", "-").replace("rising", "falling").replace("-", "rising")
        for word in words(values)
    }

    assert words(values[::-1]) == other
    assert words([-value for value in values]) == other


@checked
@given(numbers, st.integers(TREND_SAMPLES_MIN, 14), st.integers(0, 13), numbers)
def test_a_flat_series_stays_flat_with_one_outlier(
    level: float, count: int, place: int, outlier: float
) -> None:
    values = [level] * count
    values[place % count] = outlier

    assert not {"falling", "rising"} & words(values)


@checked
@given(steps, st.integers(0, 2**32))
def test_noise_smaller_than_the_steps_hides_no_trend(falls: list[float], seed: int) -> None:
    noise = random.Random(seed)
    down = list(accumulate(falls, lambda level, fall: level - fall))
    least = min(falls)

    assert "falling" in words([value + noise.uniform(0, least * 0.99) for value in down])


@checked
@given(drawn_series, st.lists(st.integers(0, 13), max_size=6), st.randoms())
def test_what_was_told_twice_and_in_any_order_counts_once(
    values: list[float], twice: list[int], shuffler: random.Random
) -> None:
    once = samples(values)
    again = [*once, *(once[index % len(once)] for index in twice)]
    shuffler.shuffle(again)

    assert found(again) == found(once)


@checked
@given(drawn_series, st.integers(1, 1000), numbers)
def test_neither_the_unit_nor_the_level_changes_a_trend(
    values: list[float], factor: int, shift: float
) -> None:
    assert words([value * factor + shift for value in values]) == words(values)


@given(st.lists(numbers, max_size=TREND_SAMPLES_MIN - 1))
@checked
def test_too_few_readings_show_nothing(values: list[float]) -> None:
    assert found(samples(values)) is None


def test_noise_without_a_trend_is_called_one_as_rarely_as_promised() -> None:
    noise = random.Random(20301)
    shown = wrongly_refused = 0
    for _ in range(2000):
        told = words([noise.gauss(0, 1) for _ in range(10)])
        shown += "falling" in told
        wrongly_refused += "not rising" not in told

    assert shown / 2000 < 0.065, "seed 20301"
    assert 0.10 < wrongly_refused / 2000 < 0.20, "seed 20301"


def test_a_long_window_is_thinned_evenly_and_told_alike() -> None:
    values = [1000.0 - second for second in range(900)]
    trend = found(samples(values))

    assert trend is not None
    assert trend.count <= 200
    assert trend.slope == -1.0
    assert trend.is_as("falling")


def test_numbers_too_large_to_be_told_apart_show_nothing() -> None:
    assert found(samples([1.7e308, 1.6e308, 1.5e308, -1.5e308, -1.6e308, -1.7e308])) is None
