"""Removes old files strictly below one directory, and is never led out of it.

Everything is opened from the directory down, one name at a time and no link followed, so that a
swapped name leads to an error and never elsewhere. Only plain files go that were last changed
before a fixed moment: a repeat, or a worker that comes late, finds nothing that was made since.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from holdfast.actions.supervisord import Deadline
from holdfast.kernel.errors import HoldfastError

DEPTH_MAX = 60
BLOCK_BYTES = 512
# The kernel stamps files by a clock that may be a tick behind the one that we read.
TICK_S = 1.0
# What a machine lives on. Nothing below is temporary, whatever somebody calls it.
SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys"})
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - named so that it may be allowed
WILD = frozenset("*?[]{}~$")


class TreeError(HoldfastError):
    """The directory is not as it must be. Nothing was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which files may go: content older than `modified`, and nothing touched since `looked_at`.

    Both in epoch seconds. A file that was put back with its old time has a new change time.
    """

    modified: float
    looked_at: float

    def takes(self, seen: os.stat_result) -> bool:
        return seen.st_mtime < self.modified and seen.st_ctime < self.looked_at - TICK_S


@dataclass(slots=True, kw_only=True)
class Found:
    """What a walk came upon. `complete` is False where the time ended first."""

    files: int = 0
    size_bytes: int = 0
    younger: int = 0
    others: int = 0
    kept: int = 0
    directories: int = 0
    complete: bool = True
    problems: list[str] = field(default_factory=list)


def check_temp_path(text: str) -> str:
    """Return a directory that may be cleared. Raises ValueError for any that is too much."""
    path = Path(text)
    if why := _why_not(text, path):
        raise ValueError(
            f"the path {text!r} {why}; write the absolute path of one temporary directory"
        )
    if os.path.realpath(text) != text:
        raise ValueError(
            f"the path {text!r} leads over a symbolic link; write {os.path.realpath(text)!r}, if"
            " that is what is meant"
        )
    return text


def _why_not(text: str, path: Path) -> str | None:
    if not text or not path.is_absolute():
        return "is empty or relative"
    if WILD & set(text) or not text.isprintable():
        return "holds a wildcard or a sign that a shell reads"
    if str(path) != text or ".." in path.parts:
        return "is not written plainly"
    if len(path.parts) <= 2:  # noqa: PLR2004 - / and one name
        return "is a top-level directory"
    if str(path.parent) in {"/home", "/Users"} or any(_holds(path, home) for home in _homes()):
        return "is somebody's home, or holds one"
    if path.parts[1] in SYSTEM and SHARED_MEMORY not in path.parents:
        return "is below a directory that the system lives on"
    if path.parts[1] == "usr":
        return "is below a directory that the system lives on"
    return None


def _homes() -> set[str]:
    """List the homes of all accounts, also of those that servers run as: their data lies there."""
    return {str(Path.home()), *(account.pw_dir for account in pwd.getpwall())}


def _holds(path: Path, home: str) -> bool:
    return path == Path(home) or path in Path(home).parents


class TempTree:
    """One allowed directory, open for as long as the `with` lasts."""

    def __init__(self, path: str, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self._fd = -1
        self._device = 0
        self._mount: str | None = None

    def __enter__(self) -> Self:
        try:
            self._fd = _opened(self._path)
            seen = os.fstat(self._fd)
        except OSError as error:
            raise TreeError(
                f"{self._path} can't be opened: {error.strerror}; a link is not followed"
            ) from error
        self._device, self._mount = seen.st_dev, _mount_of(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def identity(self) -> str:
        """Name which directory that is: another one in its place has another name."""
        seen = os.fstat(self._fd)
        return f"{seen.st_dev}:{seen.st_ino}"

    def free_bytes(self) -> int:
        seen = os.fstatvfs(self._fd)
        return seen.f_bavail * seen.f_frsize

    def count(self, cut: Cut) -> Found:
        """Count what would go. Changes nothing."""
        return self._walked(cut, remove=False)

    def clear(self, cut: Cut, found: Found) -> None:
        """Remove it, and the subdirectories that this leaves empty. `found` counts as it goes."""
        self._walk(self._fd, cut, found, remove=True, depth=0)

    def _walked(self, cut: Cut, *, remove: bool) -> Found:
        found = Found()
        self._walk(self._fd, cut, found, remove=remove, depth=0)
        return found

    def _walk(self, fd: int, cut: Cut, found: Found, *, remove: bool, depth: int) -> int:
        """Look at one directory. Gives how many entries of it went."""
        gone = 0
        for name in _names(fd, found):
            if self._out_of_time(found):
                break
            try:
                seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(seen.st_mode):
                    gone += self._directory(fd, name, cut, found, remove=remove, depth=depth)
                elif not stat.S_ISREG(seen.st_mode):
                    found.others += 1
                elif not cut.takes(seen):
                    found.younger += 1
                else:
                    if remove:
                        os.unlink(name, dir_fd=fd)
                    gone += 1
                    found.files += 1
                    found.size_bytes += _freed(seen)
            except FileNotFoundError:
                continue  # somebody else removed it
            except OSError as error:
                found.kept += 1
                found.problems.append(f"{_shown(name)}: {error.strerror}")
        return gone

    def _directory(
        self, parent: int, name: str, cut: Cut, found: Found, *, remove: bool, depth: int
    ) -> int:
        if depth >= DEPTH_MAX:
            found.kept += 1
            found.problems.append(f"{_shown(name)}: more than {DEPTH_MAX} directories deep")
            return 0
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            if os.fstat(fd).st_dev != self._device or _mount_of(fd) != self._mount:
                found.others += 1
                return 0
            gone = self._walk(fd, cut, found, remove=remove, depth=depth + 1)
        finally:
            os.close(fd)
        if not (gone and remove):
            return 0
        with suppress(OSError):  # not empty, as somebody needs it: that is what rmdir is for
            os.rmdir(name, dir_fd=parent)
            found.directories += 1
            return 1
        return 0

    def _out_of_time(self, found: Found) -> bool:
        try:
            self._deadline.left_s()
        except TimeoutError:
            found.complete = False
        return not found.complete


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _opened(path: str) -> int:
    """Open a directory from the root down, so that no part of the way is a link."""
    fd = os.open("/", _DIRECTORY)
    for name in Path(path).parts[1:]:
        try:
            deeper = os.open(name, _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


@contextmanager
def _entries(fd: int) -> Iterator[Iterator["os.DirEntry[str]"]]:
    with os.scandir(fd) as entries:
        yield entries


def _names(fd: int, found: Found) -> list[str]:
    # Read in full first: what is removed while it is read may hide what comes after.
    try:
        with _entries(fd) as entries:
            return [entry.name for entry in entries]
    except OSError as error:
        found.kept += 1
        found.problems.append(f"a directory can't be read: {error.strerror}")
        return []


def _shown(name: str) -> str:
    """Write a name so that it can't pass for a line or for a terminal's command."""
    return name if name.isprintable() else ascii(name)


def _mount_of(fd: int) -> str | None:
    """Name the mount: a directory of the same file system may be mounted in here as well."""
    try:
        text = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
    except OSError:
        return None  # no Linux: the device alone tells
    return next((line for line in text.splitlines() if line.startswith("mnt_id:")), None)


def _freed(seen: os.stat_result) -> int:
    """Say what the disk gets back: nothing while another name leads to the same file."""
    return seen.st_blocks * BLOCK_BYTES if seen.st_nlink == 1 else 0
