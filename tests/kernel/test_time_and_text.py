import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import (
    Actor,
    ActorKind,
    ManualClock,
    Reason,
    SystemClock,
    canonical_json,
    format_at,
    parse_at,
)

START = datetime(2030, 1, 1, tzinfo=UTC)


def test_the_system_clock_is_aware_and_in_utc() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_stands_still_until_it_is_jumped_and_waiting_jumps_it() -> None:
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    assert not clock.wait(threading.Event(), 5.0)
    assert clock.now() == START + timedelta(seconds=5)
    assert clock.monotonic() == pytest.approx(5.0)


def test_waiting_for_an_event_that_is_set_takes_no_time() -> None:
    clock = ManualClock(START)
    event = threading.Event()
    event.set()
    assert clock.wait(event, 5.0)
    assert clock.now() == START


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        timezones=st.just(timezone(timedelta(hours=5))),
    )
)
def test_a_moment_survives_being_written_and_read(at: datetime) -> None:
    assert parse_at(format_at(at)) == at


def test_text_without_a_zone_is_utc_and_other_text_is_an_error() -> None:
    assert parse_at("2030-01-01T00:00:00") == START
    with pytest.raises(ValueError, match="yesterday"):
        parse_at("yesterday")


@pytest.mark.parametrize("text", ["0001-01-01T00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_that_utc_can_not_write_is_an_error_like_any_other(text: str) -> None:
    with pytest.raises(ValueError, match="no moment in UTC"):
        parse_at(text)


def test_equal_values_have_equal_canonical_bytes_whatever_the_order_of_their_keys() -> None:
    one = canonical_json({"b": 1, "a": {"d": [1, 2], "c": "ü"}})
    other = canonical_json({"a": {"c": "ü", "d": [1, 2]}, "b": 1})
    assert one == other == '{"a":{"c":"ü","d":[1,2]},"b":1}'.encode()


def test_nan_is_no_json_and_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_a_reason_says_reading_threshold_source_and_time_in_one_line() -> None:
    reason = Reason(
        rule="age", ok=False, text="too old", reading="2 h", threshold="1 h", source="table", at="x"
    )
    assert reason.sentence() == "too old (reading 2 h, threshold 1 h, source table, at x)"
    assert "reading" not in Reason(rule="r", ok=True, text="fine").as_data()


def test_an_actor_survives_being_written_and_read() -> None:
    actor = Actor(kind=ActorKind.AGENT, id="assistant", on_behalf_of="dana", token_id="t1")
    assert Actor.from_data(actor.as_data()) == actor
