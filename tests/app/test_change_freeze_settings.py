"""`change_freezes` in holdfast.yaml: read strictly, by the clocks of a place, and looked at."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.app.build import world
from holdfast.app.doctor_findings import Level
from holdfast.app.doctor_rules import judge_change_freezes
from holdfast.app.installation import Installation, load_installation
from holdfast.kernel import ManualClock
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Weekly, Window
from tests.surface import CONFIG, Installed

DATED = (
    'scope: all, from: "2029-12-18 18:00", until: "2030-01-04 08:00", because: year end, by: dana'
)
WEEKLY = 'scope: my-api, from: "16:00", until: "23:59", because: nobody is in, by: ravi'


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    made = Installed(directory=tmp_path)
    made.describe()
    return made


def frozen(site: Installed, *entries: str) -> Installation:
    more = "change_freezes:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)
    site.write("holdfast.yaml", CONFIG.format(mode="observe", more=more))
    return load_installation(site.directory)


def freezes(site: Installed, *entries: str) -> tuple[Window | Weekly, ...]:
    return world(frozen(site, *entries), {}).change_freezes


def test_a_dated_freeze_follows_the_clocks_of_its_place(site: Installed) -> None:
    (found,) = freezes(site, f"{DATED}, zone: Europe/Berlin")

    assert isinstance(found, Window)
    assert (found.window_id, found.scope) == ("freeze-1", "all")
    assert (found.by, found.why) == ("dana", "year end")
    assert found.starts_at == datetime(2029, 12, 18, 17, tzinfo=UTC)
    assert found.ends_at == datetime(2030, 1, 4, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('"2029-12-18 18:00"', datetime(2029, 12, 18, 18, tzinfo=UTC)),
        ("2029-12-18T18:00:30", datetime(2029, 12, 18, 18, 0, 30, tzinfo=UTC)),
        ("2029-12-18T18:00:00+02:00", datetime(2029, 12, 18, 16, tzinfo=UTC)),
        ('"2029-12-18T18:00Z"', datetime(2029, 12, 18, 18, tzinfo=UTC)),
    ],
)
def test_a_date_may_have_quotes_seconds_and_an_offset_of_its_own(
    text: str, at: datetime, site: Installed
) -> None:
    (found,) = freezes(site, DATED.replace('"2029-12-18 18:00"', text))

    assert isinstance(found, Window)
    assert found.starts_at == at


def test_an_hour_that_the_clocks_show_twice_is_frozen_both_times(site: Installed) -> None:
    # On 2030-10-27 the clocks of Berlin go back from 03:00 to 02:00.
    span = 'from: "2030-10-27 02:30", until: "2030-10-27 02:45"'
    (found,) = freezes(site, f"scope: all, {span}, zone: Europe/Berlin, because: x, by: y")

    assert isinstance(found, Window)
    assert found.starts_at == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    assert found.ends_at == datetime(2030, 10, 27, 1, 45, tzinfo=UTC)


def test_a_weekly_freeze_comes_back_on_its_days(site: Installed) -> None:
    (_, found) = freezes(site, DATED, f"{WEEKLY}, days: [fri], zone: Europe/Berlin")

    assert isinstance(found, Weekly)
    assert (found.name, found.by, found.days) == ("freeze-2", "ravi", frozenset({"fri"}))
    window = found.open_at(datetime(2030, 1, 4, 15, 30, tzinfo=UTC))
    assert window is not None
    assert (window.window_id, window.by) == ("freeze-2/2030-01-04", "ravi")
    assert found.open_at(datetime(2030, 1, 3, 15, 30, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (DATED.replace(", by: dana", ""), "change_freezes.0.by is missing"),
        (DATED.replace(", because: year end", ""), "change_freezes.0.because is missing"),
        (DATED.replace("year end", '""'), "change_freezes.0.because"),
        (DATED.replace("2029-12-18 18:00", "2029-12-18"), "is no moment; write"),
        (DATED.replace("2029-12-18 18:00", "2029-13-18 18:00"), "is no moment; write"),
        (DATED.replace("2030-01-04 08:00", "9999-12-31 23:59"), "is no moment; write"),
        (WEEKLY.replace('"16:00"', "1600"), "in quotes"),
        (DATED.replace("2030-01-04", "2029-01-04"), "is not after from"),
        (DATED.replace("2030-01-04 08:00", "2029-12-18 18:00"), "is not after from"),
        (DATED.replace("2030-01-04 08:00", "23:00"), "write both as dates, or both as"),
        (WEEKLY.replace("23:59", "16:00"), "it would never end"),
        (f"{DATED}, days: [fri]", "days are for a weekly freeze"),
        (f"{DATED}, zone: Berlin", "time zone 'Berlin' is not known"),
        (DATED.replace("scope: all", "scope: my-apy"), "did you mean 'my-api'"),
        (f"{DATED}, to: x", "change_freezes.0.to is no setting"),
    ],
)
def test_a_freeze_that_nobody_could_apply_is_an_error_with_its_field(
    entry: str, words: str, site: Installed
) -> None:
    with pytest.raises(BadInputError) as caught:
        frozen(site, entry)

    assert "change_freezes.0" in caught.value.message
    assert words in caught.value.message


def test_the_doctor_names_the_freezes_that_are_open_or_over(site: Installed) -> None:
    old = DATED.replace("2029-12-18", "2028-12-18").replace("2030-01-04", "2029-01-04")
    later = DATED.replace("2029-12-18", "2031-12-18").replace("2030-01-04", "2032-01-04")
    clock = ManualClock(datetime(2030, 1, 2, 16, 30, tzinfo=UTC))
    made = frozen(site, old, DATED, later, WEEKLY)
    found = list(judge_change_freezes(made, clock))

    opened = [each.value for each in found if each.level is Level.INFO]
    assert [text.split()[0] for text in opened] == ["freeze-2", "freeze-4/2030-01-02"]
    assert "is open until 2030-01-04T08:00Z for all" in opened[0]
    assert "dana: year end" in opened[0]
    (over,) = [each for each in found if each.level is Level.WARNING]
    assert over.value.startswith("freeze-1 (all) is over since 2029-01-04T08:00Z")
