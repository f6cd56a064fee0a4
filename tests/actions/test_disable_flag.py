"""A flag file in flagd's format, edited by us and by people, counted by inotify."""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.actions.disable_flag import DisableFlag
from holdfast.actions.flag_file import FlagFile
from holdfast.actions.key_journal import BEGUN, append_entry, ready_name
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import NOW, catalogue, request
from tests.release_parts import Moves

TEXT = """{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "new-prices": {"state":   "ENABLED", "variants": {"on": true, "off": false},
                   "defaultVariant": "on", "x-note": "kept, with \\u00e9 and \\"quotes\\""},
    "old-basket": {
      "variants": {"on": {"state": "ENABLED"}}, "defaultVariant": "on",
      "state": "DISABLED"
    }
  },
  "metadata": {"state": "ENABLED"}
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


@pytest.fixture
def moves(path: Path) -> Iterator[Moves]:
    pytest.importorskip("inotify_simple", reason="counts with inotify, which is Linux's")
    moves = Moves(path.parent, path.name)
    yield moves
    moves.close()


@pytest.fixture
def disable(path: Path) -> DisableFlag:
    return DisableFlag(described(path))


def described(path: Path) -> Catalogue:
    flags = {"file": str(path), "allowed": ["new-prices", "old-basket", "unwritten"]}
    return catalogue(Service(name="shop", control={"flags": flags}), Service(name="store"))


def attempt(
    disable: DisableFlag, key: str = "INC-1/s/1", flag: str = "new-prices"
) -> ActionRequest:
    params = {"flag": flag}
    seen = disable.observe("shop", params)
    return request("disable_flag", "shop", pre_image=seen, key=key, params=params)


def test_one_value_of_the_file_changes_and_nothing_else(disable: DisableFlag, path: Path) -> None:
    asked = attempt(disable)
    outcome = disable.perform(asked)

    plane = {"plane": f"flagd {path} new-prices", "now": "ENABLED", "intended": "DISABLED"}
    assert asked.pre_image["planes"] == [plane]
    assert disable.probe(asked).data["planes"] == [{**plane, "now": "DISABLED", "reached": True}]
    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert path.read_text() == TEXT.replace('"state":   "ENABLED"', '"state":   "DISABLED"')
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert disable.repeatability is Repeatability.IDEMPOTENT


@pytest.mark.promise("L8")
def test_the_same_key_twice_is_one_change(disable: DisableFlag, path: Path, moves: Moves) -> None:
    asked = attempt(disable)

    first, second = disable.perform(asked), disable.perform(asked)

    assert first.ok
    assert second.ok
    assert "already done, not repeated" in second.summary
    assert moves.count() == 1
    assert disable.probe(asked).effect is Effect.PRESENT


def test_a_repeat_that_comes_after_a_person_enabled_it_again_does_nothing(
    disable: DisableFlag, path: Path, moves: Moves
) -> None:
    asked = attempt(disable)
    disable.perform(asked)
    path.write_text(TEXT)

    assert disable.perform(asked).ok
    assert path.read_text() == TEXT
    assert moves.count() == 1


@pytest.mark.promise("L8")
def test_a_file_that_was_changed_since_it_was_looked_at_is_left_alone_for_good(
    disable: DisableFlag, path: Path, moves: Moves
) -> None:
    late = attempt(disable)
    path.write_text(TEXT.replace('"defaultVariant": "on", "x', '"defaultVariant": "off", "x'))

    outcome = disable.perform(late)
    again = disable.perform(replace(late, pre_image=disable.observe("shop", late.params)))

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == again.error_category == "changed_meanwhile"
    assert disable.probe(late).effect is Effect.ABSENT
    assert moves.count() == 0


def test_the_same_text_written_anew_is_a_change_too(
    disable: DisableFlag, path: Path, moves: Moves
) -> None:
    late = attempt(disable, "INC-1/s/1")
    disable.perform(attempt(disable, "INC-1/s/2"))
    path.write_text(TEXT)  # a person enabled it again, just as it was

    assert disable.perform(late).error_category == "changed_meanwhile"
    assert path.read_text() == TEXT


def test_an_editor_that_takes_no_lock_is_noticed_up_to_the_last_moment(
    disable: DisableFlag, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = attempt(disable)
    edited = TEXT.replace("new-prices", "other-prices")
    chmod = os.fchmod

    def edit_meanwhile(fd: int, mode: int) -> None:
        path.write_text(edited)
        chmod(fd, mode)

    monkeypatch.setattr(os, "fchmod", edit_meanwhile)
    outcome = disable.perform(asked)

    assert outcome.error_category == "changed_meanwhile"
    assert path.read_text() == edited
    assert not (path.parent / ready_name(asked.idempotency_key)).exists()


def test_undo_puts_the_state_back_once(disable: DisableFlag, path: Path, moves: Moves) -> None:
    asked = attempt(disable)
    disable.perform(asked)
    edited = path.read_text().replace('"metadata"', '"evaluators": {},\n  "metadata"')
    path.write_text(edited)  # something else in the file

    first, second = disable.undo(asked), disable.undo(asked)

    assert first.ok
    assert second.ok
    assert '"state":   "ENABLED"' in path.read_text()
    assert '"evaluators": {}' in path.read_text()
    assert moves.count() == 2


@pytest.mark.promise("L8")
def test_undo_leaves_alone_what_somebody_changed_since(disable: DisableFlag, path: Path) -> None:
    asked = attempt(disable)
    disable.perform(asked)
    edited = path.read_text().replace('"defaultVariant": "on", "x', '"defaultVariant": "off", "x')
    path.write_text(edited)

    outcome = disable.undo(asked)

    assert outcome.error_category == "changed_since"
    assert path.read_text() == edited


def test_undo_of_what_was_not_done_does_nothing(disable: DisableFlag, path: Path) -> None:
    assert disable.undo(attempt(disable)).error_category == "nothing_to_undo"
    assert path.read_text() == TEXT


@pytest.mark.parametrize("renamed", [False, True])
def test_a_crash_between_key_and_rename_is_told_from_one_after_it(
    disable: DisableFlag, path: Path, moves: Moves, *, renamed: bool
) -> None:
    asked = attempt(disable)
    ready = path.parent / ready_name(asked.idempotency_key)
    ready.write_text(TEXT.replace('"state":   "ENABLED"', '"state":   "DISABLED"'))
    fd = os.open(path.parent, os.O_RDONLY)
    append_entry(fd, asked.idempotency_key, state=BEGUN, before="E", after="D", at=NOW)
    os.close(fd)
    if renamed:
        ready.rename(path)

    assert disable.probe(asked).effect is (Effect.PRESENT if renamed else Effect.ABSENT)
    assert disable.perform(asked).ok
    assert moves.count() == 1
    assert json.loads(path.read_text())["flags"]["new-prices"]["state"] == "DISABLED"
    assert not ready.exists()


def test_a_flag_that_is_off_already_is_not_touched(
    disable: DisableFlag, path: Path, moves: Moves
) -> None:
    outcome = disable.perform(attempt(disable, flag="old-basket"))

    assert outcome.error_category == "nothing_to_do"
    assert moves.count() == 0


def test_a_lock_that_somebody_holds_leaves_the_effect_unknown(
    disable: DisableFlag, path: Path
) -> None:
    asked = replace(attempt(disable), timeout_s=0.05)
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(LostReplyError, match="held by someone else"):
            disable.perform(asked)

    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "can't be read as JSON"),
        ('{"flags": {"new-prices": {"state": "ENABLED"}}} more', "after the end"),
        ('{"flags": {}}', "has no 'new-prices'"),
        ('{"flags": []}', "has no 'new-prices'"),
        ('{"flags": {"new-prices": {}}}', "has no 'state'"),
        ('{"flags": {"new-prices": {"state": "MAYBE"}}}', "'MAYBE'"),
        ('{"flags": {"new-prices": {"state": "ENABLED", "state": "DISABLED"}}}', "2 times"),
    ],
)
def test_a_file_that_is_not_as_flagd_has_it_is_unreachable_and_left_alone(
    disable: DisableFlag, path: Path, text: str, why: str
) -> None:
    path.write_text(text)

    seen = disable.observe("shop", {"flag": "new-prices"})

    assert seen["reachable"] is False
    assert why in seen["why"]
    assert path.read_text() == text


def test_a_link_is_not_followed(disable: DisableFlag, path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")

    assert "a link is not followed" in disable.observe("shop", {"flag": "new-prices"})["why"]


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"flag": "new-prices"}, "target"),
        ("shop@north", {"flag": "new-prices"}, "target"),
        ("store", {"flag": "new-prices"}, "target"),
        ("shop", {}, "params.flag"),
        ("shop", {"flag": "other"}, "params.flag"),
        ("shop", {"flag": ["new-prices"]}, "params.flag"),
        ("shop", {"flag": "new-prices", "value": "on"}, "params.value"),
    ],
)
def test_bad_input_is_refused_before_anything_is_looked_at(
    disable: DisableFlag, target: str, params: dict[str, object], field: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        disable.observe(target, params)

    assert refused.value.field == field
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        disable.perform(request("disable_flag", target, params=params))


def test_a_full_disk_is_a_clear_answer_from_what_lies_there(
    disable: DisableFlag, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    asked = attempt(disable)
    monkeypatch.setattr(FlagFile, "_append", full)

    outcome = disable.perform(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert "No space left" in outcome.summary
    assert path.read_text() == TEXT
