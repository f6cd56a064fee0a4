import math

import pytest

from holdfast.runbooks import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("5m", 300), ("1h", 3600), ("500ms", 0.5), ("1.5 s", 1.5), (7, 7), (0.5, 0.5)],
)
def test_a_duration_is_read_in_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["30", "-1s", "s", "5 days", "", None, True, [1], -1, math.inf, math.nan, "5m30s"]
)
def test_what_is_no_duration_says_what_to_write(written: object) -> None:
    with pytest.raises(ValueError, match="is no duration; write for example 30s"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(45, "45 s"), (1.504, "1.5 s"), (600, "10 min"), (90, "90 s"), (7200, "2 h"), (0, "0 s")],
)
def test_a_duration_is_written_for_people(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written
