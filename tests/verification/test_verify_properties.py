"""What no mixture of samples may do: count as recovery without three good ones from everywhere."""

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.verification import Sample, Status, parse_expectation, verify

ENDED = datetime(2030, 1, 1, tzinfo=UTC)
REGIONS = ("east", "west")
LIMIT = 0.05
WINDOW_S = 4.0
EXPECTED = parse_expectation(f'errors{{service="shop"}} <= {LIMIT} for 4s in each region')

samples = st.builds(
    Sample,
    at=st.integers(-4, 24).map(lambda half: ENDED + timedelta(seconds=half / 2)),
    service=st.just("shop"),
    region=st.sampled_from(REGIONS),
    signal=st.just("errors"),
    value=st.sampled_from([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.4, math.nan]),
)
# Mostly good series with some holes and strays, so that `met` is reached often enough to mean something.
dense = st.tuples(
    st.integers(1, 12), st.sets(st.integers(1, 12), max_size=2), st.lists(samples, max_size=2)
).map(lambda drawn: _dense(*drawn))


def _dense(length: int, holes: set[int], strays: list[Sample]) -> list[Sample]:
    return strays + [
        Sample(
            at=ENDED + timedelta(seconds=tick),
            service="shop",
            region=region,
            signal="errors",
            value=0.01,
        )
        for region in REGIONS
        for tick in range(length + 1)
        if tick not in holes
    ]


def _status(given_samples: list[Sample], now: datetime, *, final: bool = False) -> Status:
    return verify(
        [EXPECTED],
        given_samples,
        baselines={},
        step_ended_at=ENDED,
        now=now,
        sampling_interval_s=1.0,
        sustain_min_s=WINDOW_S,
        regions=REGIONS,
        deadline=now if final else now + timedelta(hours=1),
    ).status


@settings(derandomize=True, max_examples=400, deadline=None)
@given(st.one_of(st.lists(samples, max_size=40), dense), st.integers(0, 14))
def test_met_needs_three_fresh_good_samples_everywhere_and_none_that_violates(
    drawn: list[Sample], now_s: int
) -> None:
    now = ENDED + timedelta(seconds=now_s)
    if _status(drawn, now) is not Status.MET:
        return
    for region in REGIONS:
        fresh = [s for s in drawn if s.region == region and ENDED < s.at <= now]
        window = [s for s in fresh if s.at >= now - timedelta(seconds=WINDOW_S)]
        assert len({s.at for s in fresh if s.value <= LIMIT}) >= 3
        assert all(s.value <= LIMIT for s in window)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(dense, st.integers(0, 14))
def test_a_sample_that_violates_never_turns_an_answer_into_met(
    drawn: list[Sample], now_s: int
) -> None:
    now = ENDED + timedelta(seconds=now_s)
    bad = Sample(at=now, service="shop", region="east", signal="errors", value=1.0)

    assert _status([*drawn, bad], now) is not Status.MET


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.one_of(st.lists(samples, max_size=40), dense), st.integers(0, 14), st.randoms())
def test_the_order_in_which_samples_arrive_changes_nothing(
    drawn: list[Sample], now_s: int, shuffler: object
) -> None:
    now = ENDED + timedelta(seconds=now_s)
    shuffled = list(drawn)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis hands over random.Random

    assert _status(shuffled, now, final=True) is _status(drawn, now, final=True)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.one_of(st.lists(samples, max_size=40), dense), st.integers(0, 14))
def test_at_the_deadline_nothing_stays_pending(drawn: list[Sample], now_s: int) -> None:
    assert _status(drawn, ENDED + timedelta(seconds=now_s), final=True) is not Status.PENDING


def test_the_dense_series_do_reach_met() -> None:
    assert _status(_dense(12, set(), []), ENDED + timedelta(seconds=12)) is Status.MET
