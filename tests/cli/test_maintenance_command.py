"""maintenance from the command line: what is announced, what makes no sense, and who may."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Holdfast
from tests.cli.test_steering import recorded
from tests.surface import Installed, refused

WEEKLY = (
    'maintenance: [{scope: my-api, days: [sat], from: "02:00", to: "04:00", zone: Europe/Berlin}]'
)


def test_a_window_is_announced_listed_and_ended_without_a_running_serve(
    here: Installed, holdfast: Holdfast
) -> None:
    here.describe(more=WEEKLY)
    made = holdfast("maintenance", "add", "--scope", "my-api@eu", "--for", "2h", "--because", "x")
    assert made.out.startswith("MW-1: my-api@eu is in maintenance from ")
    start = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M+02:00")
    later = ("--from", start, "--for", "90m", "--because", "kernel", "--json")
    document = holdfast("maintenance", "add", "--scope", "all", *later).document
    assert document["window_id"] == "MW-2"
    assert document["from"][:16] < start[:16], "told in UTC"

    rows = holdfast("maintenance", "list", "--json").document["windows"]
    assert [(r["window_id"], r["state"], r["scope"]) for r in rows[:2]] == [
        ("MW-2", "planned", "all"),
        ("MW-1", "open", "my-api@eu"),
    ]
    assert rows[2]["every"] == "sat 02:00 to 04:00 Europe/Berlin"

    ended = holdfast("maintenance", "end", "MW-1", "--because", "done early")
    assert ended.out == "MW-1: the maintenance of my-api@eu is over\n"
    refused(holdfast("maintenance", "end", "MW-1", "--because", "x"), 1, "is over since")
    assert "MW-1 ended my-api@eu" in " ".join(holdfast("maintenance", "list").out.split())
    kinds = [r["kind"] for r in recorded(holdfast) if r["kind"].startswith("maintenance")]
    assert kinds == ["maintenance_added", "maintenance_added", "maintenance_ended"]
    assert holdfast("incident", "verify", "_system").code == 0


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("add", "--scope", "my-api", "--because", "x"), 2, "--for 2h"),
        (("add", "--scope", "all", "--for", "2h", "--to", "2030-01-01", "--because", "x"), 2, "one way"),
        (("add", "--scope", "all", "--for", "soon", "--because", "x"), 2, "no duration"),
        (("add", "--scope", "all", "--for", "0s", "--because", "x"), 2, "not after its start"),
        (("add", "--scope", "all", "--for", "721h", "--because", "x"), 2, "the most is 30"),
        (("add", "--scope", "all", "--to", "noon", "--because", "x"), 2, "no moment"),
        (("add", "--scope", "all", "--to", "2020-01-01", "--because", "x"), 2, "not after"),
        (("add", "--scope", "my-ap", "--for", "2h", "--because", "x"), 2, "my-api"),
        (("add", "--scope", "my-api@us", "--for", "2h", "--because", "x"), 2, "no region of my-api"),
        (("add", "--scope", "region:us", "--for", "2h", "--because", "x"), 2, "no region here"),
        (("add", "--scope", "all", "--for", "2h"), 2, "--because"),
        (("end", "MW-7", "--because", "x"), 1, "is not known"),
        (("end", "weekly-1", "--because", "x"), 1, "holdfast.yaml"),
    ],
    ids=lambda value: " ".join(value[:5]) if isinstance(value, tuple) else str(value),
)  # fmt: skip
def test_a_window_that_makes_no_sense_is_refused_and_records_nothing(
    words: tuple[str, ...], code: int, fact: str, here: Installed, holdfast: Holdfast
) -> None:
    here.describe()

    refused(holdfast("maintenance", *words), code, fact)
    assert not [r for r in recorded(holdfast) if r["kind"].startswith("maintenance")]


@pytest.mark.parametrize(
    ("kind", "scope", "why"),
    [
        ("agent", "propose", "an agent's token can never direct"),
        ("service", "propose", "a service's token can never"),
        ("person", "approve", "'direct'"),
    ],
)
def test_who_may_not_announce_maintenance_is_refused_on_the_record(
    kind: str,
    scope: str,
    why: str,
    here: Installed,
    holdfast: Holdfast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = holdfast("token", "create", "bot", "--kind", kind, "--scope", scope, "--json")
    monkeypatch.setenv("HOLDFAST_TOKEN", made.document["token"])

    words = ("add", "--scope", "all", "--for", "2h", "--because", "x")
    refused(holdfast("maintenance", *words), 1, "`maintenance add` is refused", why)
    last = recorded(holdfast)[-1]
    assert (last["kind"], last["actor"]["id"]) == ("request_refused", "bot")


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        ('{scope: my-ap, from: "02:00", to: "04:00"}', "my-api"),
        ("{scope: my-api, from: 25:00, to: 26:00}", "no time of day"),
        ("{scope: my-api, from: 1230, to: 1400}", "in quotes"),
        ('{scope: my-api, from: "02:00", to: "02:00"}', "never end"),
        ('{scope: my-api, from: "02:00", to: "04:00", zone: Europe/Berln}', "Europe/Berln"),
        ('{scope: my-api, days: [sunday], from: "02:00", to: "04:00"}', "sunday"),
        ('{scope: my-api, frm: "02:00", to: "04:00"}', "from"),
    ],
)
def test_a_weekly_window_that_makes_no_sense_is_named_with_its_line(
    row: str, fact: str, here: Installed, holdfast: Holdfast
) -> None:
    here.describe(more=f"maintenance: [{row}]")

    refused(holdfast("serve"), 2, "holdfast.yaml:", "maintenance", fact)


def test_the_report_is_read_as_a_page_and_as_data(here: Installed, holdfast: Holdfast) -> None:
    here.describe()
    page = holdfast("report", "--would-have-done", "--since", "2h")
    assert page.code == 0
    assert "No step listed here was performed" in page.out
    document = holdfast("report", "--would-have-done", "--json").document
    assert document["figures"]["incidents"] == 0
    assert document["incidents"] == []
    written = holdfast("report", "--would-have-done", "--out", "report.md")
    assert written.out == ""
    told = Path("report.md").read_text(encoding="utf-8")
    assert page.out.splitlines()[2:] == told.splitlines()[2:]
    refused(holdfast("report"), 2, "--would-have-done")
    refused(holdfast("report", "--would-have-done", "--since", "x"), 2, "24h")
