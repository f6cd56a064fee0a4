"""Clearing real directories, with everything in them that could lead a careless hand outside."""

import os
import pwd
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from holdfast.actions import temp_tree
from holdfast.actions.clear_cache import ClearCache
from holdfast.actions.supervisord import Deadline
from holdfast.actions.temp_tree import Cut, Found, TempTree, TreeError, check_temp_path
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import catalogue, request

SOON_S = 0.04


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with old files in it; a second passes as a hundredth here."""
    monkeypatch.setattr(temp_tree, "TICK_S", 0.02)
    root = tmp_path / "app" / "tmp"
    (root / "deep" / "er").mkdir(parents=True)
    for name in ("a", "b", "deep/c", "deep/er/d"):
        (root / name).write_bytes(b"x" * 5000)
    settled()
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What nobody allowed to touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("keep")
    return folder


def settled() -> None:
    """Wait until what is there is old."""
    until = time.time() + SOON_S
    while time.time() < until:
        pass


def described(*paths: Path, **more: object) -> Catalogue:
    section = {"paths": [str(path) for path in paths], "older_than_s": 0.0, **more}
    return catalogue(Service(name="shop", control={"temp": section}), Service(name="store"))


def attempt(action: ClearCache, key: str = "INC-1/s/1", fence: int = 1) -> ActionRequest:
    seen = action.observe("shop", {})
    return request("clear_cache", "shop", pre_image=seen, key=key, fence=fence)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_old_files_go_and_the_directories_that_this_empties_and_the_root_stays(temp: Path) -> None:
    (temp / "empty").mkdir()
    action = ClearCache(described(temp))
    asked = attempt(action)

    outcome = action.perform(asked)

    assert (asked.pre_image["files"], asked.pre_image["bytes"]) == (4, 4 * 8192)
    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert "4 files (32768 bytes)" in outcome.summary
    assert files(temp) == {"empty"}, "it was empty before, so it may be needed"
    assert action.probe(asked).effect is Effect.PRESENT


def test_it_is_idempotent_by_comparison_and_says_so_of_this_target(temp: Path) -> None:
    action = ClearCache(described(temp))

    assert action.repeatability is Repeatability.IDEMPOTENT
    assert attempt(action).pre_image["repeatability"] == "idempotent"


@pytest.mark.promise("L8")
def test_a_repeat_and_a_late_worker_remove_nothing_that_was_made_since(temp: Path) -> None:
    action = ClearCache(described(temp))
    asked = attempt(action)
    action.perform(asked)
    (temp / "a").write_text("made again")
    (temp / "restored").write_text("from a backup, with its old time")
    os.utime(temp / "restored", (0, 0))

    again, late = action.perform(replace(asked, fence=2)), action.perform(asked)

    assert again.ok
    assert late.ok
    assert {"a", "restored"} <= files(temp)


def test_one_that_stopped_in_the_middle_is_found_so_and_its_repeat_does_the_rest(
    temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = ClearCache(described(temp))
    asked = attempt(action)
    unlink = os.unlink
    gone: list[str] = []

    def dies(name: str, *, dir_fd: int) -> None:
        if len(gone) == 2:
            raise KeyboardInterrupt
        gone.append(name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        action.perform(asked)
    monkeypatch.undo()
    monkeypatch.setattr(temp_tree, "TICK_S", 0.02)

    probed = action.probe(asked)
    outcome = action.perform(replace(asked, fence=2))

    assert probed.effect is Effect.ABSENT
    assert probed.data["files_left"] == 2
    assert asked.pre_image["planes"][0]["now"].startswith("4 files to go")
    assert [(each["now"][:12], each["reached"]) for each in probed.data["planes"]] == [
        ("2 files to g", False)
    ]
    assert "2 files" in outcome.summary
    assert not files(temp) & {"a", "b", "deep/c", "deep/er/d"}


def test_what_is_younger_stays(temp: Path) -> None:
    os.utime(temp / "a", (1, 1))
    settled()  # a new time is a change of the file
    action = ClearCache(described(temp, older_than_s=3600.0))

    outcome = action.perform(attempt(action))

    assert outcome.ok
    assert files(temp) == {"b", "deep", "deep/c", "deep/er", "deep/er/d"}
    assert "3 younger ones" in outcome.summary


def test_links_and_sockets_are_left_and_never_followed(temp: Path, outside: Path) -> None:
    (temp / "to-a-directory").symlink_to(outside)
    (temp / "to-a-file").symlink_to(outside / "precious")
    (temp / "deep" / "up").symlink_to("../..")
    os.mkfifo(temp / "pipe")
    settled()
    action = ClearCache(described(temp))

    outcome = action.perform(attempt(action))

    assert outcome.ok
    assert (outside / "precious").read_text() == "keep"
    assert files(temp) == {"to-a-directory", "to-a-file", "deep", "deep/up", "pipe"}
    assert "4 that are no plain file" in outcome.summary


def test_a_directory_that_is_exchanged_for_a_link_at_the_last_moment_leads_nowhere(
    temp: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = ClearCache(described(temp))
    asked = attempt(action)
    opened = os.open

    def swapped(path: str, flags: int, *more: int, dir_fd: int | None = None) -> int:
        if path == "deep":
            (temp / "deep").rename(temp.parent / "elsewhere")
            (temp / "deep").symlink_to(outside)
        return opened(path, flags, *more, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    outcome = action.perform(asked)

    assert (outcome.ok, outcome.effect, outcome.error_category) == (False, Effect.PRESENT, "kept")
    assert (outside / "precious").read_text() == "keep"
    assert (temp.parent / "elsewhere" / "c").exists()


def test_a_part_of_the_way_that_became_a_link_is_not_followed(temp: Path, outside: Path) -> None:
    action = ClearCache(described(temp))
    asked = attempt(action)
    (outside / "tmp").mkdir()
    (outside / "tmp" / "old").write_text("keep")
    temp.parent.rename(temp.parent.with_name("moved"))
    temp.parent.symlink_to(outside)

    with pytest.raises(BadInputError, match="symbolic link"):
        action.probe(asked)
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        action.perform(asked)
    with (
        pytest.raises(TreeError, match="a link is not followed"),
        TempTree(str(temp), Deadline.after(SystemClock(), 5)),
    ):
        pass
    assert (outside / "tmp" / "old").exists()


def test_another_directory_in_its_place_is_left_alone(temp: Path) -> None:
    action = ClearCache(described(temp))
    asked = attempt(action)
    temp.rename(temp.with_name("before"))
    temp.mkdir()
    (temp / "new").write_text("keep")

    assert action.perform(asked).error_category == "changed_meanwhile"
    assert action.probe(asked).effect is Effect.UNKNOWN
    assert files(temp) == {"new"}


@pytest.mark.parametrize("which", ["_device", "_mount"])
def test_another_file_system_below_is_not_entered(temp: Path, which: str) -> None:
    now = time.time()
    found = Found()
    with TempTree(str(temp), Deadline.after(SystemClock(), 5)) as tree:
        setattr(tree, which, "of another one")
        tree.clear(Cut(modified=now, looked_at=now), found)

    assert files(temp) == {"deep", "deep/c", "deep/er", "deep/er/d"}
    assert found.others == 1


def test_time_that_runs_out_leaves_the_step_in_doubt_with_what_was_done(temp: Path) -> None:
    action = ClearCache(described(temp))

    with pytest.raises(LostReplyError, match=r"0 files .* then the time was over"):
        action.perform(replace(attempt(action), timeout_s=0.0))


class _Ahead(SystemClock):
    """The clock of a worker on a machine whose time is wrong."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


def test_the_age_is_judged_by_the_moment_of_the_look_and_not_of_the_act(temp: Path) -> None:
    asked = attempt(ClearCache(described(temp, older_than_s=3600.0)))

    outcome = ClearCache(described(temp, older_than_s=3600.0), clock=_Ahead()).perform(asked)

    assert outcome.ok
    assert "0 files" in outcome.summary


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "real" / "tmp").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    yield tmp_path / "link" / "tmp"
    assert (tmp_path / "real" / "tmp").is_dir()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty or relative"),
        ("tmp/app", "empty or relative"),
        ("/", "top-level"),
        ("/tmp", "top-level"),
        ("/home/somebody", "home"),
        ("/tmp/app/*", "wildcard"),
        ("/tmp/{a,b}", "wildcard"),
        ("/tmp/app/..", "plainly"),
        ("/tmp//app", "plainly"),
        ("/tmp/app/", "plainly"),
        ("/etc/app", "lives on"),
        ("/usr/share/app", "lives on"),
        ("/proc/1/cwd", "lives on"),
    ],
)
def test_a_path_that_is_too_much_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_temp_path(path)


def test_a_path_over_a_link_and_ones_own_home_are_refused(link: Path) -> None:
    with pytest.raises(ValueError, match="symbolic link"):
        check_temp_path(str(link))
    with pytest.raises(ValueError, match=r"top-level|home"):
        check_temp_path(str(Path.home()))
    for account in pwd.getpwall():
        if len(Path(account.pw_dir).parts) > 2:
            with pytest.raises(ValueError, match=r"home|lives on"):
                check_temp_path(account.pw_dir)
    assert check_temp_path("/var/tmp/app") == "/var/tmp/app"
    assert check_temp_path("/dev/shm/app") == "/dev/shm/app"


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"path": "/tmp/x"}, "target"),
        ("store", {"path": "/tmp/x"}, "target"),
        ("shop", {"path": "/tmp/elsewhere"}, "params.path"),
        ("shop", {"prefix": "page:"}, "target"),
        ("shop", {"prefix": "page:", "path": "/tmp/x"}, "params"),
        ("both", {}, "params"),
        ("shop", {"older_than_s": 0}, "params.older_than_s"),
    ],
)
def test_bad_input_is_refused_before_anything_is_looked_at(
    temp: Path, target: str, params: dict[str, object], field: str
) -> None:
    both = Service(
        name="both",
        control={"temp": {"paths": [str(temp)]}, "cache": {"url": "unix:///x", "prefixes": ["p:"]}},
    )
    known = described(temp)
    action = ClearCache(catalogue(*known.services.values(), both))

    with pytest.raises(BadInputError) as refused:
        action.observe(target, params)

    assert refused.value.field == field


def test_clearing_cannot_be_undone_and_says_why(temp: Path) -> None:
    action = ClearCache(described(temp))

    assert "makes them again" in action.undo(attempt(action)).summary


def test_a_name_that_could_pass_for_a_line_or_a_command_is_told_escaped(temp: Path) -> None:
    deepest = temp.joinpath(*["d"] * 60)
    (deepest / "new\nline\x1b[31m").mkdir(parents=True)
    action = ClearCache(described(temp))

    outcome = action.perform(attempt(action))

    assert outcome.error_category == "kept"
    assert r"'new\nline\x1b[31m': more than 60" in outcome.summary
