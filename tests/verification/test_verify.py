import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.kernel import SignalKey
from holdfast.verification import (
    Sample,
    Span,
    Status,
    Verdict,
    default_deadline,
    parse_expectation,
    sustain_window_s,
    verify,
)

ENDED = datetime(2030, 1, 1, 12, tzinfo=UTC)
REGIONS = ("east", "west")
GOOD = [0.01] * 8
BAD = [0.4] * 8


def series(
    values: Sequence[float], *, region: str, start_s: float = 1.0, step_s: float = 1.0
) -> list[Sample]:
    return [
        Sample(
            at=ENDED + timedelta(seconds=start_s + step_s * number),
            service="shop",
            region=region,
            signal="errors",
            value=value,
        )
        for number, value in enumerate(values)
    ]


def judge(
    samples: Sequence[Sample],
    *,
    text: str = 'errors{service="shop"} <= 0.05 for 6s in each region',
    now_s: float = 8.0,
    deadline_s: float = 100.0,
    baselines: Mapping[SignalKey, float] | None = None,
    regions: Sequence[str] | Mapping[str, Sequence[str]] = REGIONS,
    sustain_min_s: float = 6.0,
    span: Span = Span.UNKNOWN,
) -> Verdict:
    return verify(
        [parse_expectation(text)],
        samples,
        baselines=baselines or {},
        step_ended_at=ENDED,
        now=ENDED + timedelta(seconds=now_s),
        sampling_interval_s=1.0,
        sustain_min_s=sustain_min_s,
        regions=regions,
        deadline=ENDED + timedelta(seconds=deadline_s),
        spans={SignalKey("shop", region, "errors"): span for region in REGIONS},
    )


def both(values: Sequence[float]) -> list[Sample]:
    return [sample for region in REGIONS for sample in series(values, region=region)]


def test_recovery_is_met_when_every_region_was_good_for_the_whole_window() -> None:
    verdict = judge(both(GOOD))

    assert verdict.status is Status.MET
    assert verdict.met
    assert verdict.final
    assert len(verdict.reasons) == 2
    assert "recovery is proven" in verdict.sentence()


def test_a_window_that_is_not_full_yet_is_pending_then_not_met() -> None:
    early = judge(both(GOOD[:4]), now_s=4)
    late = judge(both(GOOD[:4]), now_s=4, deadline_s=4)

    assert early.status is Status.PENDING
    assert not early.final
    assert late.status is Status.NOT_MET
    assert "good for 3 s only" in late.sentence()


def test_the_window_is_never_shorter_than_three_sampling_intervals() -> None:
    text = 'errors{service="shop"} <= 0.05'

    short = judge(both(GOOD[:3]), text=text, sustain_min_s=0, now_s=3)
    enough = judge(both(GOOD[:4]), text=text, sustain_min_s=0, now_s=4)

    assert short.status is Status.PENDING
    assert enough.status is Status.MET


def test_the_longer_of_the_configured_window_and_the_criterion_counts() -> None:
    read = [parse_expectation("errors < 1 for 20s"), parse_expectation("up == 1")]

    assert sustain_window_s(read, sampling_interval_s=1, sustain_min_s=6) == 20
    assert sustain_window_s(read, sampling_interval_s=60, sustain_min_s=6) == 180
    assert sustain_window_s(read, sampling_interval_s=1, sustain_min_s=60) == 60


def test_the_default_deadline_leaves_room_for_an_interruption() -> None:
    deadline = default_deadline(
        [parse_expectation("errors < 1 for 6s")],
        step_ended_at=ENDED,
        sampling_interval_s=1,
        sustain_min_s=6,
    )
    assert deadline == ENDED + timedelta(seconds=23)


def test_samples_from_before_the_step_ended_prove_nothing() -> None:
    old = [
        sample for region in REGIONS for sample in series([0.0] * 20, region=region, start_s=-20)
    ]

    verdict = judge(old, now_s=0, deadline_s=0)

    assert verdict.status is Status.NO_DATA


def test_a_sample_that_spans_the_end_of_the_step_is_left_out() -> None:
    # Seven samples from 0.4 s on: the first spans the end, so only six seconds' worth of five remain.
    mixed = [s for r in REGIONS for s in series([0.01] * 7, region=r, start_s=0.4)]
    only_mixed = [s for r in REGIONS for s in series([0.01], region=r, start_s=0.4)]

    assert judge(mixed, now_s=6.4).status is Status.PENDING
    first = judge(only_mixed, now_s=0.4, deadline_s=0.4)
    assert first.status is Status.NO_DATA
    assert "taken across the end of the step" in first.sentence()


def test_a_rate_speaks_for_the_time_since_the_sample_before_it() -> None:
    # From 1.4 s on, after the mixed one: six clean rates cover 0.4 s to 6.4 s.
    rates = [s for r in REGIONS for s in series([0.01] * 7, region=r, start_s=0.4)]

    assert judge(rates, now_s=6.4, span=Span.INTERVAL).status is Status.MET
    assert judge(rates[:-1], now_s=6.4, span=Span.INTERVAL).status is Status.PENDING


def test_a_gauge_speaks_for_its_moment_and_is_never_mixed() -> None:
    gauges = [s for r in REGIONS for s in series([0.01] * 7, region=r, start_s=0.4)]

    assert judge(gauges, now_s=6.4, span=Span.MOMENT).status is Status.MET
    before = [s for r in REGIONS for s in series([0.01] * 7, region=r, start_s=-0.6)]
    assert judge(before, now_s=5.4, span=Span.MOMENT).status is Status.PENDING


def test_some_milliseconds_of_jitter_do_not_cost_a_whole_sample() -> None:
    early = [s for r in REGIONS for s in series(GOOD[:7], region=r, step_s=0.9995)]

    assert judge(early, now_s=7).status is Status.MET
    too_short = [s for r in REGIONS for s in series(GOOD[:7], region=r, step_s=0.98)]
    assert judge(too_short, now_s=7).status is Status.PENDING


def test_after_a_long_gap_the_first_reading_spans_the_gap_and_is_left_out() -> None:
    before = [s for r in REGIONS for s in series([0.01], region=r, start_s=-5)]
    gap = [s for r in REGIONS for s in series([math.nan] * 3, region=r, start_s=1)]
    after = [s for r in REGIONS for s in series([0.01] * 7, region=r, start_s=4)]

    assert judge([*before, *gap, *after], now_s=10).status is Status.PENDING
    assert judge([*gap, *after], now_s=10).status is Status.MET


def test_a_gap_inside_the_window_starts_it_anew() -> None:
    values = [0.01, 0.01, math.nan, 0.01, 0.01, 0.01, 0.01, 0.01]

    assert judge(both(values)).status is Status.PENDING
    assert judge(both([*values, 0.01, 0.01]), now_s=10).status is Status.MET


def test_a_tick_that_nobody_sampled_starts_the_window_anew() -> None:
    holed = [s for s in both(GOOD) if s.at != ENDED + timedelta(seconds=4)]

    assert judge(holed).status is Status.PENDING


def test_a_single_bad_sample_inside_the_window_starts_it_anew() -> None:
    assert judge(both([0.01] * 5 + [0.4] + [0.01] * 2)).status is Status.PENDING


def test_two_different_answers_for_one_moment_are_no_answer() -> None:
    for other in (0.4, 0.02, math.nan):
        twice = [*both(GOOD), *series([other], region="east", start_s=5)]
        assert judge(twice).status is Status.PENDING


def test_a_region_that_stays_bad_beside_one_that_recovered_is_a_contradiction() -> None:
    samples = [*series(GOOD, region="east"), *series(BAD, region="west")]

    assert judge(samples).status is Status.PENDING
    verdict = judge(samples, deadline_s=8)
    assert verdict.status is Status.CONTRADICTION
    assert "shop@west" in verdict.sentence()


def test_still_bad_everywhere_at_the_deadline_is_not_met() -> None:
    assert judge(both(BAD), deadline_s=8).status is Status.NOT_MET


def test_no_sample_from_one_region_by_the_deadline_is_no_data() -> None:
    verdict = judge(series(GOOD, region="east"), deadline_s=8)

    assert verdict.status is Status.NO_DATA
    assert "errors of shop@west has no sample since the step ended" in verdict.sentence()


def test_a_ratio_without_traffic_is_no_data_and_never_recovery() -> None:
    verdict = judge(both([math.nan] * 8), deadline_s=8)

    assert verdict.status is Status.NO_DATA
    assert "without traffic" in verdict.sentence()


def test_readings_that_stopped_are_stale_however_good_they_were() -> None:
    assert judge(both(GOOD), now_s=10).status is Status.MET
    assert judge(both(GOOD), now_s=10.5).status is Status.PENDING
    assert judge(both(GOOD), now_s=10.5, deadline_s=10).status is Status.STALE


def test_samples_from_the_future_are_left_out() -> None:
    assert judge(both(GOOD), now_s=0.5, deadline_s=0).status is Status.NO_DATA


def test_without_a_criterion_or_a_region_or_a_service_nothing_can_be_recovered() -> None:
    no_criterion = verify(
        [],
        both(GOOD),
        baselines={},
        step_ended_at=ENDED,
        now=ENDED,
        sampling_interval_s=1,
        sustain_min_s=6,
        regions=REGIONS,
        deadline=ENDED + timedelta(seconds=60),
    )
    assert no_criterion.status is Status.NO_DATA
    assert judge(both(GOOD), regions=()).status is Status.NO_DATA
    assert judge(both(GOOD), regions={"other": REGIONS}).status is Status.NO_DATA
    assert judge(both(GOOD), text="errors < 1").status is Status.NO_DATA


def test_a_missing_baseline_is_no_data_at_once_because_waiting_brings_none() -> None:
    text = 'errors{service="shop"} <= baseline * 1.2 for 6s in each region'
    known = {SignalKey("shop", "east", "errors"): 0.01}

    verdict = judge(both(GOOD), text=text, baselines=known)

    assert verdict.status is Status.NO_DATA
    assert "no baseline of errors of shop in west" in verdict.sentence()


def test_each_region_is_held_to_its_own_baseline() -> None:
    text = 'errors{service="shop"} <= baseline * 1.2 + 0.02 for 6s in each region'
    baselines = {
        SignalKey("shop", "east", "errors"): 0.0,
        SignalKey("shop", "west", "errors"): 1.0,
    }
    samples = [*series([0.01] * 8, region="east"), *series([1.1] * 8, region="west")]

    verdict = judge(samples, text=text, baselines=baselines)

    assert verdict.status is Status.MET
    assert verdict.reasons[1].threshold == "<= 1.22 (baseline 1)"


def test_a_region_label_narrows_the_criterion_to_that_region() -> None:
    text = 'errors{service="shop",region="east"} <= 0.05 for 6s'

    assert judge(series(GOOD, region="east"), text=text).status is Status.MET


def test_without_a_region_label_every_region_counts_even_unsaid() -> None:
    text = 'errors{service="shop"} <= 0.05 for 6s'

    assert judge(series(GOOD, region="east"), text=text).status is Status.PENDING


def test_each_service_can_have_regions_of_its_own() -> None:
    assert judge(series(GOOD, region="east"), regions={"shop": ("east",)}).status is Status.MET


def test_a_reason_carries_reading_threshold_source_and_time() -> None:
    reason = judge(both(GOOD)).reasons[0]

    assert reason.ok
    assert (reason.reading, reason.threshold) == ("0.01", "<= 0.05")
    assert (reason.source, reason.at) == (
        "errors of shop in east",
        "2030-01-01T12:00:08.000000Z",
    )


def test_a_verdict_is_plain_data_for_the_ledger() -> None:
    data = judge(both(GOOD)).as_data()

    assert data["status"] == "met"
    assert data["window_s"] == 6.0
    assert [reason["ok"] for reason in data["reasons"]] == [True, True]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words_of_its_own(status: Status) -> None:
    assert Verdict(status=status, reasons=(), window_s=1).sentence()
