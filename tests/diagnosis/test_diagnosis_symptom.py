"""Is the trouble still there? Present, absent or unclear: a gap is neither, nor is the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.diagnosis import TYPE_TABLE, SymptomReading, SymptomStatus, classify, read_symptom

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
NAN = float("nan")
IN, OUT = 0.01, 0.3
RANGE = {"low": 0.0, "high": 0.02}


def reading(
    *values: float, name: str = "errors", series: str = "s", age_s: float = 0
) -> SymptomReading:
    newest = NOW - timedelta(seconds=age_s)
    samples = [
        (newest - timedelta(seconds=len(values) - 1 - n), value) for n, value in enumerate(values)
    ]
    return SymptomReading(series=series, signal=name, samples=samples)


def status(*values: float, age_s: float = 0, name: str = "errors", **facts: Any) -> SymptomStatus:  # noqa: ANN401
    signal = {"signal": name, **(facts or RANGE)}
    found = reading(*values, age_s=age_s, name=name)
    return read_symptom([found], {"s": signal}, now=NOW, window_s=6).status


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((IN,) * 6, SymptomStatus.ABSENT),
        ((IN, IN, IN), SymptomStatus.ABSENT),
        ((IN, IN), SymptomStatus.UNCLEAR),
        ((), SymptomStatus.UNCLEAR),
        ((OUT,) * 6, SymptomStatus.PRESENT),
        ((IN, IN, IN, IN, OUT, OUT), SymptomStatus.PRESENT),
        ((IN, IN, IN, OUT, IN, OUT), SymptomStatus.PRESENT),
        ((IN, IN, IN, IN, IN, OUT), SymptomStatus.UNCLEAR),
        # one lone excursion in six samples is noise, in fewer it may be the end of the trouble
        ((OUT, IN, IN, IN, IN, IN), SymptomStatus.ABSENT),
        ((IN, IN, OUT, IN, IN, IN), SymptomStatus.ABSENT),
        ((OUT, IN, IN, IN, IN), SymptomStatus.UNCLEAR),
        ((OUT, OUT, IN, IN, IN, IN), SymptomStatus.UNCLEAR),
        ((OUT, NAN, IN, IN, IN, IN), SymptomStatus.UNCLEAR),
        ((OUT, OUT, OUT, IN, IN, IN, IN, IN, IN), SymptomStatus.ABSENT),
        ((IN, IN, IN, IN, IN, NAN), SymptomStatus.UNCLEAR),
        ((NAN,) * 6, SymptomStatus.UNCLEAR),
        ((OUT, OUT, NAN), SymptomStatus.PRESENT),
        ((OUT, NAN, NAN), SymptomStatus.UNCLEAR),
    ],
)
def test_a_series_is_judged_by_its_samples_in_the_window(
    values: tuple[float, ...], expected: SymptomStatus
) -> None:
    assert status(*values) is expected


@pytest.mark.parametrize("values", [(IN,) * 6, (OUT,) * 6])
def test_samples_older_than_the_window_say_nothing(values: tuple[float, ...]) -> None:
    assert status(*values, age_s=60) is SymptomStatus.UNCLEAR


@pytest.mark.parametrize(
    ("facts", "bad", "good"),
    [
        # It was bad before it was seen, so the range from before is the trouble itself.
        ({"low": 0.0, "high": 0.0, "below": 1.0}, 0.0, 1.0),
        ({"low": 90.0, "high": 99.0, "above": 30.0}, 95.0, 20.0),
        # It was well before; a bound downwards says which way is bad.
        ({"low": 1.0, "high": 1.0, "below": 1.0}, 0.0, 1.0),
        ({"low": 400.0, "high": 900.0, "below": 100.0}, 300.0, 1200.0),
        # Nothing is known of before.
        ({"below": 1.0}, 0.0, 1.0),
        ({"above": 30.0}, 31.0, 30.0),
    ],
)
def test_what_is_past_a_declared_bound_is_never_normal(
    facts: dict[str, float], bad: float, good: float
) -> None:
    assert status(*(bad,) * 6, name="reachable", **facts) is SymptomStatus.PRESENT
    assert status(*(good,) * 6, name="reachable", **facts) is SymptomStatus.ABSENT


def test_the_declared_bound_is_told() -> None:
    signal = {"signal": "reachable", "low": 0.0, "high": 0.0, "below": 1.0}
    symptom = read_symptom([reading(0, 0, 0, name="reachable")], {"s": signal}, now=NOW, window_s=6)
    assert symptom.sentence() == "s is 0, normal was 0 to 0, limit 1: out of range"


def test_a_series_without_a_known_range_cannot_be_told() -> None:
    assert status(IN, IN, IN, low=None, high=None) is SymptomStatus.UNCLEAR


def test_less_traffic_is_bad_and_more_is_not() -> None:
    assert status(*(50.0,) * 3, name="traffic", low=80.0, high=120.0) is SymptomStatus.PRESENT
    assert status(*(500.0,) * 3, name="traffic", low=80.0, high=120.0) is SymptomStatus.ABSENT


def test_a_target_is_down_at_nought_and_unknown_at_a_gap() -> None:
    assert status(0, 0, 0, name="up", low=1.0) is SymptomStatus.PRESENT
    assert status(1, 1, 1, name="up", low=1.0) is SymptomStatus.ABSENT
    assert status(NAN, NAN, NAN, name="up", low=1.0) is SymptomStatus.UNCLEAR


def test_one_bad_series_is_enough_and_all_must_be_good() -> None:
    signals = {name: {"signal": "errors", **RANGE} for name in ("a", "b")}

    def over(*readings: SymptomReading) -> SymptomStatus:
        return read_symptom(readings, signals, now=NOW, window_s=6).status

    good, bad = reading(IN, IN, IN, series="a"), reading(OUT, OUT, OUT, series="b")
    silent = reading(NAN, NAN, NAN, series="b")
    assert over(good, bad) is SymptomStatus.PRESENT
    assert over(good, silent) is SymptomStatus.UNCLEAR
    assert over() is SymptomStatus.UNCLEAR


def test_the_words_name_reading_and_range_and_keep_no_nan() -> None:
    symptom = read_symptom(
        [reading(IN, NAN)], {"s": {"signal": "errors", **RANGE}}, now=NOW, window_s=6
    )

    assert symptom.sentence() == "s is no reading, normal was 0 to 0.02: can't be told"
    assert symptom.as_data()["series"]["s"]["value"] is None


def bad(name: str) -> dict[str, Any]:
    return {
        "series": f"{name} of x",
        "signal": name,
        "state": "bad",
        "value": 1.0,
        "at": NOW.isoformat(),
    }


@pytest.mark.parametrize(("signal", "incident_type"), TYPE_TABLE)
def test_each_row_of_the_table_names_its_type(signal: str, incident_type: str) -> None:
    found = classify([bad(signal)], {})

    assert found.incident_type == incident_type
    assert found.reasons[0].text == f"{signal} of x is out of range"


def test_the_hardest_fact_names_the_type() -> None:
    signals = [bad(name) for name, _ in reversed(TYPE_TABLE)]

    assert classify(signals, {}).incident_type == "service_down"
    assert classify(signals[:-2], {}).incident_type == "disk_full"


def test_a_stopped_process_is_a_service_down_although_no_series_says_so() -> None:
    checks = {
        "service_status": {
            "status": "down",
            "instances": {"x@east": {"state": "EXITED"}, "x@west": {"state": "RUNNING"}},
        }
    }
    found = classify([], checks)

    assert found.incident_type == "service_down"
    assert found.reasons[0].text.startswith("x@east is not running")


def test_what_came_back_or_fits_no_row_is_unknown() -> None:
    assert classify([{**bad("errors"), "state": "returned"}], {}).incident_type == "unknown"
    assert classify([bad("colour")], {}).incident_type == "unknown"
    assert not classify([], {}).reasons[0].ok


def test_an_alert_names_the_type_only_where_no_measured_signal_does() -> None:
    alert = {**bad("alert"), "incident_type": "certificate_expired"}
    assert classify([alert], {}).incident_type == "certificate_expired"
    assert classify([alert, bad("latency")], {}).incident_type == "high_latency"
