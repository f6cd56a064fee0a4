from math import isnan, nan

import pytest

from holdfast.detection import Deriver, parse_selector
from holdfast.detection.derive import Labels, Samples
from holdfast.kernel.catalogue import SignalForm, SignalSpec
from holdfast.kernel.errors import BadInputError


def spec(form: str, *metrics: str) -> SignalSpec:
    return SignalSpec(form=SignalForm(form), metrics=metrics)


def plain(**values: float) -> Samples:
    return {name: {(): value} for name, value in values.items()}


def labelled(name: str, **values: float) -> Samples:
    pairs: dict[Labels, float] = {(("code", code.strip("_")),): v for code, v in values.items()}
    return {name: pairs}


def derive(signal: SignalSpec, *scrapes: Samples, step_s: float = 10.0) -> list[float]:
    deriver = Deriver({"x": signal})
    return [deriver.observe(s, n * step_s)["x"] for n, s in enumerate(scrapes)]


def test_the_first_scrape_says_nothing_about_a_rate() -> None:
    first, second = derive(spec("rate", "n_total"), plain(n_total=100), plain(n_total=150))

    assert isnan(first)
    assert second == 5.0


def test_a_counter_that_falls_was_restarted_from_zero() -> None:
    assert derive(spec("rate", "n_total"), plain(n_total=100), plain(n_total=30))[1] == 3.0


def test_each_labelled_counter_is_reset_by_itself() -> None:
    rates = derive(
        spec("rate", "n_total"),
        labelled("n_total", a=100, b=5),
        labelled("n_total", a=10, b=15, c=2),
    )

    assert rates[1] == pytest.approx((10 + 10 + 2) / 10)


def test_a_ratio_over_nothing_is_a_gap() -> None:
    ratio = spec("ratio", "bad_total", "all_total")
    scrapes = [plain(bad_total=b, all_total=a) for b, a in ((0, 10), (0, 10), (1, 14), (1, 16))]

    assert [r for r in derive(ratio, *scrapes) if not isnan(r)] == [0.25, 0.0]


def test_failures_that_were_never_counted_are_none() -> None:
    ratio = spec("ratio", "bad_total", "all_total")

    assert derive(ratio, plain(all_total=1), plain(all_total=5), plain(all_total=9, bad_total=1))[
        1:
    ] == [0.0, 0.25]


def test_a_mean_is_time_spent_over_requests() -> None:
    mean = spec("mean", "duration_seconds")
    scrapes = [
        plain(duration_seconds_sum=s, duration_seconds_count=c) for s, c in ((1.0, 10), (1.5, 20))
    ]

    assert derive(mean, *scrapes)[1] == pytest.approx(0.05)


def test_a_gauge_is_read_as_it_is_and_absent_or_nan_is_a_gap() -> None:
    readings = derive(spec("gauge", "g"), plain(g=4.0), plain(other=1.0), plain(g=nan))

    assert readings[0] == 4.0
    assert all(map(isnan, readings[1:]))


def test_a_filter_picks_samples_and_several_are_summed() -> None:
    scrape = labelled("n", _200=1, _500=2, _503=4)

    assert derive(spec("gauge", 'n{code="500"}'), scrape) == [2]
    assert derive(spec("gauge", 'n{code=~"5.."}'), scrape) == [6]
    assert derive(spec("gauge", 'n{code!="200",code!~"50[0]"}'), scrape) == [4]
    assert derive(spec("gauge", 'n{region=""}'), scrape) == [7]


def test_a_missed_scrape_spreads_the_rate_over_the_longer_time() -> None:
    deriver = Deriver({"x": spec("rate", "n_total")})
    deriver.observe(plain(n_total=0), 0.0)

    assert deriver.observe(plain(n_total=60), 30.0)["x"] == 2.0
    assert isnan(deriver.observe(plain(n_total=70), 30.0)["x"])


@pytest.mark.parametrize(
    "text", ["", "5xx", "n{code}", 'n{code="5}', "n{code='5'}", 'n{code=~"("}']
)
def test_a_metric_that_cannot_be_read_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(BadInputError, match=r"metric|filter") as caught:
        parse_selector(text)
    assert repr(text) in caught.value.message
