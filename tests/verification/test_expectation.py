import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import BadInputError
from holdfast.verification import parse_expectation


def test_an_expectation_names_signal_service_comparison_duration_and_regions() -> None:
    read = parse_expectation('errors{service="shop"} <= 0.05 for 60s in each region')

    assert (read.signal, read.service, read.region) == ("errors", "shop", None)
    assert (read.op, read.factor, read.offset) == ("<=", None, 0.05)
    assert (read.sustain_s, read.each_region) == (60.0, True)


@pytest.mark.parametrize(
    ("value", "threshold"),
    [
        ("7", 7.0),
        ("-1.5", -1.5),
        ("1e-3", 0.001),
        ("baseline", 0.1),
        ("baseline * 1.2", 0.12),
        ("1.2 * baseline", 0.12),
        ("baseline + 0.02", 0.12),
        ("baseline - 0.02", 0.08),
        ("baseline * 1.2 + 0.02", 0.14),
        ("1.2 * baseline - 0.02", 0.10),
    ],
)
def test_a_value_is_a_number_or_arithmetic_on_the_baseline(value: str, threshold: float) -> None:
    computed = parse_expectation(f"errors < {value}").threshold(0.1)

    assert computed == pytest.approx(threshold)


def test_a_baseline_that_is_unknown_or_no_number_gives_no_threshold() -> None:
    read = parse_expectation("errors < baseline * 2")

    assert read.threshold(None) is None
    assert read.threshold(math.nan) is None


def test_a_duration_may_be_minutes_and_may_be_left_out() -> None:
    assert parse_expectation("up == 1 for 5m").sustain_s == 300.0
    assert parse_expectation("up == 1").sustain_s == 0.0


def test_the_default_service_fills_in_only_where_the_text_names_none() -> None:
    assert parse_expectation("errors < 1", service="shop").service == "shop"
    assert parse_expectation('errors{service="a"} < 1', service="shop").service == "a"


@pytest.mark.parametrize(
    ("text", "column", "wanted"),
    [
        ("", 1, "a signal name"),
        ("errors", 7, "one of < <= > >= =="),
        ('errors{service="a"} =< 1', 21, "one of < <= > >= =="),
        ("errors < ", 9, "a number or `baseline`"),
        ("errors < 1 for", 15, "a duration"),
        ("errors < 1 for 60", 16, "a duration"),
        ("errors < 1 in each zone", 20, "`each region`"),
        ("errors < 1 sometimes", 12, "the end"),
        ('errors{zone="a"} < 1', 8, "the label service or region"),
        ('errors{service="a",service="b"} < 1', 20, "each once"),
        ("errors{service=a} < 1", 16, "double quotes"),
        ('errors{service=""} < 1', 16, "not empty"),
        ('errors{service="a" < 1', 20, "`,` or `}`"),
        ("errors < 2 * 3", 14, "`baseline`"),
        ("errors < 1e999", 10, "a finite number"),
        ('errors{region="a"} < 1 in each region', 32, "no `in each region`"),
        ("errors < 5x", 10, "a number"),
        ("errors ; drop", 8, "one of"),
    ],
)
def test_a_bad_expectation_says_where_and_what_was_expected(
    text: str, column: int, wanted: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_expectation(text)

    assert f"column {column}:" in caught.value.message
    assert wanted.replace("`each region`", "`region` of `in each region`") in caught.value.message
    assert "write for example" in caught.value.message


@pytest.mark.parametrize("op", ["falling", "rising", "not falling", "not rising"])
def test_an_expectation_may_ask_for_a_trend(op: str) -> None:
    read = parse_expectation(f'queue_depth{{service="shop"}} {op} for 60s in each region')

    assert (read.signal, read.service, read.op) == ("queue_depth", "shop", op)
    assert (read.sustain_s, read.each_region) == (60.0, True)
    assert read.asks_trend
    assert not read.uses_baseline
    assert read.threshold(None) == 0.0


def test_a_comparison_asks_for_no_trend_and_a_signal_may_be_called_like_one() -> None:
    assert not parse_expectation("errors < 1").asks_trend
    assert parse_expectation("falling rising for 5m").signal == "falling"


@pytest.mark.parametrize(
    ("text", "column", "wanted"),
    [
        ("depth not", 10, "`falling` or `rising`, found the end"),
        ("depth not 5", 11, "`falling` or `rising`, found `5`"),
        ("depth not not falling", 11, "`falling` or `rising`"),
        ("depth Falling", 7, "or a trend"),
        ("depth is falling", 7, "or a trend"),
        ("depth falling 5", 15, "the end"),
        ("depth falling for", 18, "a duration"),
        ("depth falling < 5", 15, "the end"),
        ("depth falling and depth < 5", 15, "is a criterion of its own"),
        ("depth < 5 for 60s and depth falling", 19, "is a criterion of its own"),
        ('depth{region="a"} falling in each region', 35, "no `in each region`"),
    ],
)
def test_a_bad_trend_says_where_and_what_was_expected(text: str, column: int, wanted: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_expectation(text)

    assert f"column {column}:" in caught.value.message
    assert wanted in caught.value.message


def test_a_very_long_expectation_is_refused() -> None:
    with pytest.raises(BadInputError, match="longer than"):
        parse_expectation("errors < 1" + " " * 600)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_our_own_error(text: str) -> None:
    with suppress(BadInputError):  # any other error fails the test
        assert parse_expectation(text).text == text.strip()


def test_equal_forgives_what_floating_point_does_and_nothing_more() -> None:
    read = parse_expectation("saturation == 0.3")

    assert read.holds(0.1 + 0.2, 0.3)
    assert not read.holds(0.3001, 0.3)


def test_a_reading_that_is_no_number_never_holds() -> None:
    for op in ("<", "<=", ">", ">=", "=="):
        read = parse_expectation(f"errors {op} 1")
        assert not any(read.holds(value, 1.0) for value in (math.nan, math.inf, -math.inf))
