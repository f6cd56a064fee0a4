"""Canonical bytes: the same for the same value, and read back as they were written."""

import json
from datetime import UTC, datetime, timedelta, timezone
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import canonical_json, format_at
from holdfast.kernel.canonical import Encoded, plain_json, read_json

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(values)
def test_the_bytes_are_those_that_every_chain_so_far_was_hashed_over(value: object) -> None:
    before = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )

    assert canonical_json(value) == before.encode()


@given(values)
def test_what_was_written_is_read_back(value: object) -> None:
    assert read_json(canonical_json(value)) == value


@pytest.mark.parametrize("body", [b"", b"{", b"{}{}", b"\xff", b"\xef\xbb\xbf{}", b'{"a":'])
def test_what_is_not_one_value_in_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(body)


def test_what_is_nested_deeper_than_the_fast_reader_goes_is_read_all_the_same() -> None:
    value: object = "the bottom"
    for _ in range(300):
        value = [value]

    assert read_json(canonical_json(value)) == value


@given(values)
def test_plain_bytes_hold_the_same_value(value: object) -> None:
    assert json.loads(plain_json(value)) == value


@pytest.mark.parametrize("value", [nan, inf, {"a": [-inf]}])
def test_a_number_that_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_what_is_encoded_already_is_handed_on() -> None:
    encoded = plain_json({"a": 1})

    assert isinstance(encoded, Encoded)
    assert canonical_json(encoded) is encoded


@given(st.datetimes(datetime(1000, 1, 2), datetime(9998, 1, 1)), zones | st.just(UTC))  # noqa: DTZ001 - the zones come beside
def test_moments_are_written_as_every_chain_so_far_has_them(at: datetime, zone: timezone) -> None:
    moment = at.replace(tzinfo=zone)

    assert format_at(moment) == moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
