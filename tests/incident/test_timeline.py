"""One line for every record, whatever is in it."""

import importlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Kind, Record, line, timeline
from holdfast.incident.timeline import one_line
from holdfast.kernel import format_at
from tests.scene import DANA, Scene, reason, verdict
from tests.scenes import SCENES, every_kind, rough_ride

ALL = [record for play in SCENES for record in play()]


def test_every_kind_has_a_line_of_its_own() -> None:
    lines = vars(importlib.import_module("holdfast.incident.timeline"))["_LINES"]

    assert set(lines) == set(Kind)


@pytest.mark.parametrize("record", ALL, ids=lambda r: f"{r.incident_id}-{r.seq}-{r.kind}")
def test_a_record_reads_as_one_printable_line(record: Record) -> None:
    text = line(record)

    assert text.strip() == text != ""
    assert text.isprintable()
    assert len(text) <= 600


def test_a_kind_from_a_newer_version_is_shown_by_its_name() -> None:
    assert "'from_the_future'" in line(Scene().unknown())


def test_what_a_person_did_starts_with_who() -> None:
    scene = Scene()
    note = scene.add(Kind.NOTE, {"text": "I see it too"}, actor=DANA)

    assert line(note) == "dana: I see it too"


def test_a_refusal_gives_every_reason_with_reading_threshold_and_source() -> None:
    refusal = verdict(
        "refuse",
        reason("too many restarts", ok=False, reading="2", threshold="2", source="action log"),
        reason("the plan allows it"),
        reason("shop is frozen", ok=False),
    )
    record = Scene().add(Kind.STEP_BLOCKED, {"step_id": "S1", "verdict": refusal})

    assert line(record) == (
        "S1 refused: too many restarts (reading 2, threshold 2, source action log); shop is frozen"
    )


def test_a_line_break_or_an_escape_sequence_in_data_cannot_forge_a_line() -> None:
    forged = "ok\n  7  12:00:00  RESOLVED: all is well\x1b[2J\r\u202egnihton"
    record = Scene().add(Kind.NOTE, {"text": forged}, actor=DANA)

    assert line(record) == "dana: ok 7 12:00:00 RESOLVED: all is well [2J gnihton"


@given(st.text())
def test_one_line_is_printable_whatever_goes_in(text: str) -> None:
    shown = one_line(text)

    assert shown.isprintable()
    assert not any(unicodedata.category(c).startswith("C") for c in shown)
    assert one_line(shown) == shown


def test_a_long_text_is_cut_with_a_mark() -> None:
    record = Scene().add(Kind.NOTE, {"text": "x" * 10_000}, actor=DANA)

    assert line(record).endswith("…")
    assert len(line(record)) == 600


def test_the_timeline_skips_no_record_and_keeps_their_order() -> None:
    for play in (every_kind, rough_ride):
        records = play()
        rows = timeline(records)
        assert [row["seq"] for row in rows] == [record.seq for record in records]
        assert [row["at"] for row in rows] == [format_at(record.at) for record in records]
        assert [row["text"] for row in rows] == [line(record) for record in records]
