"""Maintenance windows: what one covers, when a weekly one is open, what the guard says."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from holdfast.kernel import BadInputError
from holdfast.policy import (
    Decision,
    Weekly,
    Window,
    check_span,
    covering,
    covers,
    evaluate,
    is_open,
)
from tests.policy.questions import NOW, ask, in_mode

BERLIN = ZoneInfo("Europe/Berlin")
WINDOW = Window(
    window_id="MW-1",
    scope="shop@east",
    starts_at=NOW - timedelta(hours=1),
    ends_at=NOW + timedelta(hours=1),
    by="dana",
    why="disks are moved",
)


@pytest.mark.parametrize(
    ("scope", "service", "region", "covered"),
    [
        ("all", "shop", "east", True),
        ("shop", "shop", "east", True),
        ("shop", "stock", "east", False),
        ("shop@east", "shop", "east", True),
        ("shop@east", "shop", "west", False),
        ("shop@east", "shop", None, True),
        ("shop@east", "shop", "", False),
        ("region:east", "stock", "east", True),
        ("region:east", "stock", "west", False),
        ("region:east", "stock", None, True),
        ("region:east", "stock", "", False),
    ],
)
def test_a_scope_covers_what_it_names_and_a_target_without_a_region_is_everywhere(
    *, scope: str, service: str, region: str | None, covered: bool
) -> None:
    assert covers(scope, service=service, region=region) is covered


def test_of_several_windows_the_one_that_ends_last_counts() -> None:
    longer = replace(WINDOW, window_id="MW-2", ends_at=NOW + timedelta(hours=9))

    found = covering([longer, WINDOW], service="shop", region="east")
    assert found is longer
    assert covering([longer, WINDOW], service="stock", region="east") is None


def test_a_window_is_open_at_its_start_and_not_at_its_end() -> None:
    assert is_open(WINDOW, WINDOW.starts_at)
    assert not is_open(WINDOW, WINDOW.ends_at)
    assert not is_open(WINDOW, WINDOW.starts_at - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("starts_h", "ends_h", "fact"),
    [
        (0, 0, "not after its start"),
        (2, 1, "not after its start"),
        (-3, -1, "over already"),
        (0, 30 * 24 + 1, "the most is 30"),
    ],
)
def test_a_window_without_a_sensible_end_is_refused(
    starts_h: float, ends_h: float, fact: str
) -> None:
    with pytest.raises(BadInputError, match=fact):
        check_span(NOW + timedelta(hours=starts_h), NOW + timedelta(hours=ends_h), NOW)


def test_a_window_of_thirty_days_is_not_too_long() -> None:
    check_span(NOW, NOW + timedelta(days=30), NOW)


def weekly(since: str, until: str, *days: str) -> Weekly:
    return Weekly(
        name="weekly-1",
        scope="shop",
        days=frozenset(days),
        since=time.fromisoformat(since),
        until=time.fromisoformat(until),
        zone=BERLIN,
    )


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("moment", "is_on"),
    [
        ("2030-01-05T01:59", False),
        ("2030-01-05T02:00", True),
        ("2030-01-05T03:59", True),
        ("2030-01-05T04:00", False),
        ("2030-01-06T02:30", False),
        ("2030-07-06T02:30", True),
    ],
)
def test_a_weekly_window_follows_the_clocks_of_its_place(*, moment: str, is_on: bool) -> None:
    found = weekly("02:00", "04:00", "sat").open_at(berlin(moment))
    assert (found is not None) is is_on


def test_a_weekly_window_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    window = weekly("23:00", "01:00", "sat").open_at(berlin("2030-01-06T00:30"))

    assert window is not None
    assert window.window_id == "weekly-1/2030-01-05"
    assert window.starts_at == datetime(2030, 1, 5, 22, tzinfo=UTC)
    assert weekly("23:00", "01:00", "sat").open_at(berlin("2030-01-05T00:30")) is None


def test_an_hour_that_the_clocks_show_twice_is_in_the_window_both_times() -> None:
    # On 2030-10-27 the clocks of Berlin go back from 03:00 to 02:00.
    window = weekly("02:00", "02:45", "sun").open_at(datetime(2030, 10, 27, 0, 10, tzinfo=UTC))

    assert window is not None
    assert window.ends_at - window.starts_at == timedelta(hours=1, minutes=45)


def test_an_hour_that_the_clocks_leave_out_makes_no_window_that_ends_before_it_begins() -> None:
    # On 2030-03-31 they go from 02:00 to 03:00.
    window = weekly("02:15", "02:45", "sun").open_at(datetime(2030, 3, 31, 1, 20, tzinfo=UTC))

    assert window is not None
    assert window.ends_at - window.starts_at >= timedelta(minutes=30)


def test_the_guard_refuses_a_step_on_a_target_in_maintenance_and_says_until_when() -> None:
    verdict = evaluate(ask(maintenance=WINDOW))

    assert verdict.decision is Decision.REFUSE
    (reason,) = verdict.refusals
    assert reason.rule == "maintenance"
    for fact in ("MW-1", "shop@east", "2030-01-01T13:00", "dana", "disks are moved"):
        assert fact in reason.text


def test_in_observe_a_step_in_maintenance_would_not_have_been_performed() -> None:
    assert evaluate(in_mode("observe")).would_have
    assert not evaluate(in_mode("observe", maintenance=WINDOW)).would_have


@pytest.mark.parametrize("moment", ["2030-03-31T00:59", "2030-03-31T01:00", "2030-03-31T01:20"])
def test_a_window_that_begins_in_an_hour_left_out_does_not_begin_late(moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert weekly("02:30", "04:00", "sun").open_at(at) is not None
