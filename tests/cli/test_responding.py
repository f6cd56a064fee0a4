"""A real incident from the command line: read it, own it, decide, and prove what was recorded."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, Serving, Target, as_mapping, installed, refused, target


@pytest.fixture(scope="module")
def site() -> Iterator[Installed]:
    directory = Path(tempfile.mkdtemp(prefix="hfsv", dir="/tmp"))
    yield installed(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def outage(site: Installed) -> Iterator[Serving]:
    """`serve` runs, its one target is down, the incident waits for a person."""
    with ExitStack() as stack:
        told: Target = stack.enter_context(target())
        told.status = 503
        site.describe(told.url)
        serving = stack.enter_context(site.serving())
        serving.event("record", kind="paged")
        yield serving
        assert serving.stop() == 0


@pytest.fixture
def there(
    outage: Serving, site: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> Holdfast:
    monkeypatch.setenv("HOLDFAST_DIR", str(site.directory))
    monkeypatch.setenv("HOLDFAST_TOKEN", site.token or "")
    return holdfast


def test_a_held_incident_reads_well_to_somebody_just_woken(there: Holdfast) -> None:
    lines = there("incident", "show", "INC-1").out.splitlines()

    assert lines[0].startswith("INC-1  ")
    assert "HELD" in lines[0]
    assert "my-api does not answer in eu" in lines[0]
    head = "\n".join(lines[:14])
    for words in ("mode observe", "service_down", "my-api", "HELD  ", "owner", "UTC", "Dana Okoye"):
        assert words in head, words
    assert "  holdfast incident ack INC-1" in lines or "acknowledged by" in head
    assert "Steps" in lines
    assert any("restart_service on my-api@eu" in line and "blocked" in line for line in lines)
    assert any(line.startswith("     guard: ") for line in lines)
    assert all("restart-a-down-service: it has no executable step" not in line for line in lines)


def test_a_freeze_is_shown_where_it_stops_something(there: Holdfast) -> None:
    there("freeze", "--scope", "service:my-api", "--because", "storage maintenance")
    shown = there("incident", "show", "INC-1").out
    there("thaw", "--scope", "service:my-api", "--because", "done")

    assert "  FROZEN     service:my-api by " in shown
    assert "storage maintenance" in shown
    assert "  holdfast thaw --scope service:my-api --because TEXT" in shown.splitlines()
    assert "FROZEN" not in there("incident", "show", "INC-1").out


def test_a_mode_that_a_person_set_is_shown_where_it_lowers_something(there: Holdfast) -> None:
    there("mode", "INC-1", "guided", "--because", "the vendor is on it")
    shown = there("incident", "show", "INC-1").out
    there("mode", "INC-1", "configured", "--because", "done")

    assert "  AT MOST    guided, set for incident:INC-1 by " in shown
    assert "the vendor is on it" in shown
    assert "AT MOST" not in there("incident", "show", "INC-1").out


def test_an_override_is_told_in_the_timeline_of_its_incident(
    there: Holdfast, outage: Serving
) -> None:
    there("hold", "INC-1", "--because", "tests want it held")
    said = there(
        "override", "INC-1", "cooldown", "--target", "my-api@eu", "--because", "in a hurry"
    )

    assert "raises cooldown on my-api@eu once, until " in said.out
    assert "it is held: run `holdfast resume INC-1`" in said.out
    told = outage.until(lambda e: "raises cooldown" in str(e.get("text")))
    assert str(told["text"]).endswith("in a hurry")
    refused(
        there("override", "INC-1", "cooldown", "--target", "my-apo@eu", "--because", "x"),
        2,
        "did you mean 'my-api@eu'?",
    )
    given = there("override", "INC-1", "cooldown", "--because", "again", "--json").document
    assert given["override_id"] in outage.until(lambda e: "again" in str(e.get("text")))["text"]


def test_the_list_says_at_a_glance_what_needs_somebody(there: Holdfast) -> None:
    table = there("incident", "list").out.splitlines()

    assert table[0].split()[:3] == ["INCIDENT", "STATE", "SEVERITY"]
    assert any(row.startswith("INC-1 ") and "held+escalated" in row for row in table[1:])
    [found] = [
        i
        for i in there("incident", "list", "--json").document["incidents"]
        if i["incident_id"] == "INC-1"
    ]
    assert found["root_entity"] == "my-api"


def test_every_way_of_reading_speaks_json_and_text(there: Holdfast) -> None:
    for words, key in ((("timeline",), "timeline"), (("steps",), "steps"), (("show",), "phase")):
        said = there("incident", *words, "INC-1", "--json")
        assert said.document["incident_id"] == "INC-1"
        assert key in said.document
        assert there("incident", *words, "INC-1").out.strip()


def test_the_five_keys_agree_with_each_other(there: Holdfast) -> None:
    there("hold", "INC-1", "--because", "nothing may move between the reads")
    values = [
        as_mapping(there("kv", "get", f"incident:INC-1:{name}").document)
        for name in ("status", "steps", "checkpoint", "timeline", "owner")
    ]

    assert {value["incident_id"] for value in values} == {"INC-1"}
    assert len({value["seq"] for value in values}) == 1
    assert values[0]["head_hash"] == values[2]["head_hash"]
    assert (
        values[0]["head_hash"]
        == there("incident", "verify", "INC-1", "--json").document["head_hash"]
    )


def test_people_speak_and_are_answered(there: Holdfast, outage: Serving) -> None:
    assert "acknowledged" in there("incident", "ack", "INC-1").out
    assert there("note", "INC-1", "vendor confirms an outage").out == "INC-1: noted\n"
    said = there("note", "INC-1", "again", "--json").document
    assert said == {"incident_id": "INC-1", "ok": True, "message": "noted"}
    assert "labelled" in there("incident", "label", "INC-1", "true", "--because", "it was down").out
    assert outage.until(lambda e: "vendor confirms" in str(e.get("text")))["kind"] == "note"


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("direct", "INC-1", "restart_servce", "my-api@eu", "--because", "x"), 1, "is unknown"),
        (("approve", "INC-1", "S1", "--hash", "abcdef", "--because", "x"), 1, "S1"),
        (("deny", "INC-1", "S9", "--because", "x"), 1, "S9"),
        (("settle", "INC-1", "S1", "happened", "--evidence", "x"), 1, "not in doubt"),
        (("settle", "INC-1", "S1", "maybe", "--evidence", "x"), 2, "'maybe'"),
        (("incident", "label", "INC-1", "perhaps"), 2, "'perhaps'"),
        (("incident", "merge", "INC-1", "--into", "INC-1", "--because", "x"), 1, "itself"),
        (("incident", "merge", "INC-1", "--into", "INC-99", "--because", "x"), 1, "INC-99"),
        (("incident", "close", "INC-1", "--because", "x"), 1, "only a resolved or dismissed"),
        (
            ("direct", "INC-1", "restart_service", "my-api@eu", "-p", "x", "--because", "y"),
            2,
            "`=`",
        ),
        (("did", "INC-1", "restart_service", "--because", "y"), 2, "TARGET"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else str(value),
)
def test_what_cannot_be_done_now_is_refused_with_the_reason(
    words: tuple[str, ...], code: int, fact: str, there: Holdfast
) -> None:
    there("hold", "INC-1", "--because", "tests want it held")

    refused(there(*words), code, fact)


def test_the_decisions_of_an_agent_are_refused(
    there: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = there("token", "create", "bot", "--kind", "agent", "--scope", "propose", "--json")
    monkeypatch.setenv("HOLDFAST_TOKEN", made.document["token"])

    for words in (
        ("resume", "INC-1", "--because", "x"),
        ("direct", "INC-1", "restart_service", "my-api@eu", "--because", "x"),
        ("settle", "INC-1", "S1", "happened", "--evidence", "x"),
        ("approve", "INC-1", "S1", "--hash", "abcdef", "--because", "x"),
    ):
        refused(there(*words), 1, "an agent's token can never")


@pytest.fixture
def exported(there: Holdfast, tmp_path: Path) -> Path:
    out = tmp_path / "INC-1.jsonl"
    assert there("incident", "export", "INC-1", "--out", out).code == 0
    return out


def test_an_export_verifies_without_the_database(
    exported: Path, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_DIR")
    said = holdfast("incident", "verify", "--file", exported, "--json")

    assert said.code == 0
    rows = exported.read_text().splitlines()
    assert said.document["records"] == len(rows)
    assert set(json.loads(rows[0])) == {"incident_id", "seq", "prev_hash", "hash", "body"}
    assert "the chain is whole" in holdfast("incident", "verify", "--file", exported).out


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        (
            lambda rows: [
                r.replace("my-api", "my-apo") if n == 0 else r for n, r in enumerate(rows)
            ],
            1,
        ),
        (lambda rows: rows[:2] + rows[3:], 3),
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], 2),
        (lambda rows: rows[1:], 1),
        (lambda rows: [*rows[:3], rows[3][:-9], *rows[4:]], 4),
        (lambda rows: [*rows[:3], "{}", *rows[4:]], 4),
        (
            lambda rows: [
                *rows[:2],
                rows[2].replace('"prev_hash":"', '"prev_hash":"00'),
                *rows[3:],
            ],
            3,
        ),
        (lambda rows: [*rows, rows[-1]], None),
    ],
    ids=["changed", "one missing", "swapped", "first missing", "cut", "emptied", "prev", "twice"],
)
def test_a_changed_export_is_broken_at_its_record(
    change: object, bad: int | None, exported: Path, holdfast: Holdfast
) -> None:
    assert callable(change)
    rows = exported.read_text().splitlines()
    exported.write_text("\n".join(change(rows)) + "\n")
    said = holdfast("incident", "verify", "--file", exported)

    assert said.code == 1
    assert f"BROKEN at record {bad or len(rows) + 1}: " in said.out
    found = holdfast("incident", "verify", "--file", exported, "--json")
    assert found.code == 1
    assert found.document["first_bad_seq"] == (bad or len(rows) + 1)


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\xff\xfe", b"[1]\n", b"[" * 99_999, b"{}\n"]
)
def test_what_is_no_export_is_bad_input(content: bytes, holdfast: Holdfast, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(content)

    refused(holdfast("incident", "verify", "--file", tmp_path / "odd"), 2, "incident export")
    refused(holdfast("incident", "verify", "--file", tmp_path / "gone"), 2, "incident export")
    refused(holdfast("incident", "verify"), 2, "either an incident or --file")


def test_a_record_changed_in_the_database_is_named(
    there: Holdfast, site: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(site.directory / "holdfast.db")) as db:
        db.execute("vacuum into ?", (str(tmp_path / "holdfast.db"),))
    with closing(sqlite3.connect(tmp_path / "holdfast.db")) as db, db:
        db.execute(
            "update record set body = cast(replace(cast(body as text), 'my-api', 'my-apo') as blob) "
            "where incident_id = 'INC-1' and seq = 1"
        )
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path))

    said = there("incident", "verify", "INC-1")

    assert said.code == 1
    assert "BROKEN at record 1: record 1 does not match its hash" in said.out


def test_a_postmortem_is_written_whole(there: Holdfast, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "INC-1.md"
    said = there("postmortem", "INC-1", "--out", out)

    assert said.out == ""
    assert said.err == f"wrote {out}\n"
    assert out.read_text().startswith("# Postmortem INC-1")
    assert [path.name for path in out.parent.iterdir()] == ["INC-1.md"]
    assert there("postmortem", "INC-1", "--json").document["markdown"].startswith("# Postmortem")
    refused(there("postmortem", "INC-1", "--out", tmp_path), 2, "can't write")


def test_a_request_without_a_running_serve_is_kept_and_says_so(
    there: Holdfast, site: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(site.directory / "holdfast.db")) as db:
        db.execute("vacuum into ?", (str(tmp_path / "holdfast.db"),))
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path))

    refused(
        there("note", "INC-1", "is anybody there"), 1,
        "is recorded as request", "no `holdfast serve` runs on", "once `holdfast serve` runs",
    )  # fmt: skip
    assert there("freeze", "--because", "needs no serve").code == 0
