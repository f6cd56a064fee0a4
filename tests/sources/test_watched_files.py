import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel.clock import ManualClock, parse_at
from holdfast.sources import WatchedFile, WatchedFiles
from holdfast.sources.file_difference import difference

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
FLAGS: dict[str, Any] = {
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "flags": {
        "slim-jobs": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
        },
        "dark": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
    },
}
RULE = {"if": [{"==": [{"var": "region"}, "north"]}, "on", "off"]}


def written(path: Path, content: str | bytes, at: datetime = NOW) -> None:
    """Write in place, with the time that the test lives in."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (at.timestamp(), at.timestamp()))


def watched(path: Path, kind: str = "config") -> tuple[WatchedFiles, ManualClock]:
    clock = ManualClock(NOW)
    files = WatchedFiles([WatchedFile(path=path, service="api", kind=kind, region="north")], clock)
    assert files.poll() == ()
    clock.jump(timedelta(seconds=2))
    return files, clock


def flags(**more: object) -> dict[str, Any]:
    """Give the flags with one of them changed."""
    return {**FLAGS, "flags": {**FLAGS["flags"], "slim-jobs": FLAGS["flags"]["slim-jobs"] | more}}


def told(before: object, after: object, name: str = "flags.json") -> str | None:
    return difference(name, json.dumps(before).encode(), json.dumps(after).encode())


def test_a_changed_flag_is_noticed_once_with_what_it_was_and_is(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    written(path, json.dumps(FLAGS))
    files, clock = watched(path, "flag")

    written(
        path, json.dumps(flags(defaultVariant="on", targeting=RULE)), NOW + timedelta(seconds=1)
    )
    (change,) = files.poll()

    assert files.poll() == ()
    assert change["summary"] == (
        "flags.json: flag slim-jobs: defaultVariant off -> on, targeting added"
    )
    assert (change["kind"], change["service"], change["region"]) == ("flag", "api", "north")
    assert parse_at(change["at"]) == NOW + timedelta(seconds=1)
    assert change["files"] == [str(path)]
    clock.jump(timedelta(seconds=2))


def test_the_same_change_has_the_same_id_for_whoever_sees_it_and_another_one_another(
    tmp_path: Path,
) -> None:
    path = tmp_path / "app.conf"
    written(path, "a")
    (one, clock), (other, _) = watched(path), watched(path)
    written(path, "b", NOW + timedelta(seconds=1))
    (seen,), (seen_too,) = one.poll(), other.poll()
    clock.jump(timedelta(seconds=9))
    written(path, "a", NOW + timedelta(seconds=5))
    (back,) = one.poll()
    written(path, "b", NOW + timedelta(seconds=7))
    (again,) = one.poll()

    assert seen["id"] == seen_too["id"]
    assert len({seen["id"], back["id"], again["id"]}) == 3


def test_a_touch_is_no_change_and_a_copy_with_an_old_date_is_one(tmp_path: Path) -> None:
    path = tmp_path / "app.conf"
    written(path, "a")
    files, _ = watched(path)

    written(path, "a", NOW + timedelta(seconds=1))
    touched = files.poll()
    written(path, "b", NOW - timedelta(days=300))
    (copied,) = files.poll()

    assert touched == ()
    assert parse_at(copied["at"]) == NOW + timedelta(seconds=2)


def test_a_file_that_is_being_written_is_told_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    whole = json.dumps(flags(state="DISABLED"))
    written(path, json.dumps(FLAGS))
    files, _ = watched(path)

    written(path, "")
    torn = files.poll()
    written(path, whole[:20])
    torn += files.poll()
    written(path, whole)
    (change,) = files.poll()

    assert torn == ()
    assert change["summary"] == "flags.json: flag slim-jobs: state ENABLED -> DISABLED"


def test_a_file_that_stays_broken_is_told_at_the_second_look(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    written(path, "{}")
    files, _ = watched(path)
    written(path, "{")

    assert files.poll() == ()
    (change,) = files.poll()

    assert change["summary"].endswith("it can't be read as json now")


def test_a_file_that_goes_and_comes_back_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.conf"
    written(path, "a")
    files, _ = watched(path)
    path.unlink()
    (gone,) = files.poll()
    written(path, "a")
    (back,) = files.poll()

    assert gone["summary"] == "app.conf: the file is gone"
    assert back["summary"] == "app.conf: the file is there"


def test_a_pipe_in_the_place_of_a_file_is_a_problem_and_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "app.conf"
    written(path, "a")
    files, _ = watched(path)
    path.unlink()
    os.mkfifo(path)

    assert files.poll() == ()
    assert "is no plain file" in files.problems[0]


def test_a_file_that_could_not_be_read_at_first_is_only_learnt_later(tmp_path: Path) -> None:
    path = tmp_path / "app.conf"
    os.mkfifo(path)
    files, _ = watched(path)
    path.unlink()
    written(path, "a")

    assert files.poll() == ()
    assert files.problems == ()


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (flags(targeting=RULE), "flag slim-jobs: targeting added"),
        (flags(variants={"on": 1}), "flag slim-jobs: variants changed"),
        (
            {"flags": {"new": {"state": "ENABLED", "defaultVariant": "a"}}},
            "flag new added (state ENABLED, defaultVariant a)",
        ),
    ],
)
def test_flags_are_told_one_by_one(after: Mapping[str, Any], text: str) -> None:
    assert text in (told(FLAGS, after) or "")


@pytest.mark.parametrize(
    ("name", "before", "after", "text"),
    [
        (
            "a.json",
            '{"db": {"password": "x1"}}',
            '{"db": {"password": "x2"}}',
            "changed db.password",
        ),
        ("a.yaml", "a: 1\nb: {c: 2}", "b: {c: 3}\nd: 4", "changed b.c; added d; removed a"),
        ("a.yml", "a: 1", "# why\na: 1", None),
        ("a.json", '{"a": 1}', '{ "a": 1 }', None),
        ("a.yaml", "a: &x 1\nb: *x", "a: 2", "2 lines changed"),
        ("a.conf", "a\nb\nc", "a\nB\nc\nd", "2 lines changed"),
        ("a.conf", "a\n", "b\n", "1 line changed"),
        ("a.conf", "a\nb\n", "b\na\n", "the order of its lines changed"),
        ("a.conf", "a\n" * 100_000, "a\nb\n" * 50_000, "50000 lines changed"),
        ("a.json", "[1]", "[2]", "changed the whole"),
    ],
)
def test_other_files_are_told_by_keys_or_lines_and_never_by_values(
    name: str, before: str, after: str, text: str | None
) -> None:
    assert difference(name, before.encode(), after.encode()) == text


def test_many_changed_keys_are_cut() -> None:
    text = told({}, {f"k{n}": n for n in range(20)}, "a.json")

    assert text == "added k0, k1, k2, k3, k4, k5, and 14 more keys; removed the whole"


def test_the_words_of_a_file_steer_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    written(path, json.dumps({"flags": {}}))
    files, _ = watched(path, "flag")
    written(path, json.dumps({"flags": {"\x1b[2J\u202e": {"state": "\x9b1m"}}}))
    (change,) = files.poll()

    assert change["summary"] == "flags.json: flag  [2J  added (state  1m)"
