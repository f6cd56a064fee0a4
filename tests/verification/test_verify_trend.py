"""A trend as a criterion: over the whole window, fresh, in each region, and never guessed."""

import math
from collections.abc import Sequence
from datetime import timedelta

import pytest

from holdfast.verification import (
    Sample,
    Span,
    Status,
    Verdict,
    default_deadline,
    parse_expectation,
    sustain_window_s,
)
from holdfast.verification.samples import Reading
from holdfast.verification.trend import Trend, trend_of
from tests.verification.test_verify import ENDED, both, judge, series

DOWN = [90.0, 80, 71, 63, 52, 41, 30, 22]
UP = DOWN[::-1]
FLAT = [7.0] * 8


def text(trend: str = "falling", window: str = "6s") -> str:
    return f'errors{{service="shop"}} {trend} for {window} in each region'


def ask(values: Sequence[float], trend: str = "falling", *, deadline_s: float = 100.0) -> Verdict:
    return judge(both(values), text=text(trend), deadline_s=deadline_s)


def test_a_trend_is_met_when_it_shows_in_every_region_over_the_whole_window() -> None:
    verdict = ask(DOWN)

    assert verdict.status is Status.MET
    assert len(verdict.reasons) == 2
    first = verdict.reasons[0]
    assert first.text == "errors of shop@east is falling over 6 s"
    assert (first.reading, first.threshold) == ("22, -600 per min in 7 samples", "falling")
    assert (first.source, first.at) == ("errors of shop in east", "2030-01-01T12:00:08.000000Z")


@pytest.mark.parametrize(
    ("values", "met"),
    [
        (DOWN, {"falling", "not rising"}),
        (UP, {"rising", "not falling"}),
        (FLAT, {"not falling", "not rising"}),
        ([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2] * 2, {"not falling", "not rising"}),
        ([5.0, 4, 6, 5, 4, 6, 5, 5], {"not falling", "not rising"}),
        # One outlier is no trend, wherever it stands.
        ([7.0] * 7 + [900], {"not falling", "not rising"}),
        ([7.0, 7, 0, 7, 7, 7, 7, 7], {"not falling", "not rising"}),
        ([90.0, 80, 71, 900, 52, 41, 30, 22], {"falling", "not rising"}),
        # What may be a rise is neither shown as one nor ruled out.
        ([1.0, 1, 4, 2, 5, 2, 3, 6], {"not falling"}),
        # It fell before the window, and goes up in it.
        ([900.0, *UP[1:]], {"rising", "not falling"}),
    ],
    ids=lambda given: str(sorted(given)) if isinstance(given, set) else str(given),
)
def test_what_is_flat_or_unclear_is_neither_falling_nor_rising(
    values: list[float], met: set[str]
) -> None:
    words = ("falling", "rising", "not falling", "not rising")

    assert {word for word in words if ask(values, word).met} == met


def test_a_trend_that_is_another_at_the_deadline_is_not_met_and_says_which() -> None:
    verdict = ask(UP, deadline_s=8)

    assert ask(UP).status is Status.PENDING
    assert verdict.status is Status.NOT_MET
    assert "errors of shop@west is rising over 6 s" in verdict.sentence()
    assert "is flat over 6 s" in ask(FLAT, deadline_s=8).sentence()
    assert "perhaps rising" in ask([1.0, 1, 4, 2, 5, 2, 3, 6], deadline_s=8).sentence()


def test_a_window_that_the_samples_do_not_fill_shows_no_trend() -> None:
    early = judge(both(DOWN[:6]), text=text(), now_s=6)
    late = judge(both(DOWN[:6]), text=text(), now_s=6, deadline_s=6)

    assert early.status is Status.PENDING
    assert late.status is Status.NO_DATA
    assert "was read for 5 s without a gap (6 samples)" in late.sentence()
    assert "a trend needs 6 s and 5 samples" in late.sentence()


@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_a_gap_inside_the_window_shows_no_trend_until_it_is_full_again(hole: float) -> None:
    holed = [*DOWN[:3], hole, *DOWN[4:]]

    assert ask(holed, deadline_s=8).status is Status.NO_DATA
    assert judge(both([*holed, 15, 9, 3]), text=text(), now_s=11).status is Status.MET


def test_a_tick_that_nobody_sampled_breaks_the_trend_too() -> None:
    holed = [s for s in both(DOWN) if (s.at - ENDED).total_seconds() != 4]

    assert judge(holed, text=text(), deadline_s=8).status is Status.NO_DATA


def test_two_different_answers_for_one_moment_show_no_trend() -> None:
    twice = [*both(DOWN), *series([51.0], region="east", start_s=5)]

    assert judge(twice, text=text()).status is Status.PENDING


@pytest.mark.parametrize("trend", ["falling", "not rising"])
def test_no_data_a_gap_now_and_old_readings_are_never_a_trend(trend: str) -> None:
    ended = {"text": text(trend), "deadline_s": 8.0}
    before: list[Sample] = [
        s for region in ("east", "west") for s in series(DOWN, region=region, start_s=-9)
    ]

    assert judge([], **ended).status is Status.NO_DATA  # type: ignore[arg-type]
    assert judge(before, **ended).status is Status.NO_DATA  # type: ignore[arg-type]
    assert ask([*DOWN[:7], math.nan], trend, deadline_s=8).status is Status.NO_DATA
    stale = judge(both(DOWN), text=text(trend), now_s=10.5, deadline_s=10)
    assert stale.status is Status.STALE
    only_east = judge(series(DOWN, region="east"), **ended)  # type: ignore[arg-type]
    assert only_east.status is Status.NO_DATA


def test_regions_that_go_different_ways_contradict_each_other() -> None:
    apart = [*series(DOWN, region="east"), *series(UP, region="west")]
    verdict = judge(apart, text=text(), deadline_s=8)

    assert judge(apart, text=text()).status is Status.PENDING
    assert verdict.status is Status.CONTRADICTION
    assert "errors of shop@west is rising over 6 s" in verdict.sentence()


def test_a_region_that_is_too_short_to_tell_contradicts_nobody() -> None:
    apart = [*series(DOWN, region="east"), *series(UP[:3], region="west", start_s=6)]

    assert judge(apart, text=text(), deadline_s=8).status is Status.NO_DATA


def test_a_trend_wants_five_intervals_at_least_and_the_deadline_leaves_room_for_them() -> None:
    read = [parse_expectation("depth falling")]

    assert sustain_window_s(read, sampling_interval_s=60, sustain_min_s=60) == 300
    assert sustain_window_s(read, sampling_interval_s=1, sustain_min_s=60) == 60
    deadline = default_deadline(read, step_ended_at=ENDED, sampling_interval_s=60, sustain_min_s=60)
    assert (deadline - ENDED).total_seconds() == 3 * 300 + 5 * 60


@pytest.mark.parametrize("span", list(Span))
def test_five_rates_or_gauges_are_enough_for_the_shortest_trend(span: Span) -> None:
    samples = both([9.0, 8, 7, 6, 5, 4])
    short = text(window="5s")

    assert judge(samples, text=short, now_s=6, sustain_min_s=0, span=span).met
    few = judge(samples[:4] + samples[6:10], text=short, now_s=4, sustain_min_s=0, span=span)
    assert few.status is Status.PENDING


def test_a_level_and_a_trend_are_two_criteria_and_both_have_to_hold() -> None:
    level = 'errors{service="shop"} <= 30 for 6s in each region'

    assert ask(DOWN).met
    assert not judge(both(DOWN), text=level).met


def test_a_rise_after_a_long_flat_stretch_is_not_ruled_out_by_a_median_of_zero() -> None:
    flat_then_up = [7.0] * 20 + [8, 9, 11, 14]
    one_spike = [7.0] * 99 + [900.0]

    def trend(values: list[float]) -> Trend:
        readings = [
            Reading(at=ENDED + timedelta(seconds=n), value=value) for n, value in enumerate(values)
        ]
        found = trend_of(readings, window_s=200, slack_s=0)
        assert found is not None
        return found

    assert trend(flat_then_up).slope == 0
    assert not trend(flat_then_up).is_as("not rising")
    assert trend(flat_then_up).is_as("not falling")
    assert trend(one_spike).is_as("not rising")
