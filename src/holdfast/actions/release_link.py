"""Moves a `current` link between releases: compare and set, once for each key.

Everything happens under a lock in the directory and relative to an open directory,
so that two workers, or a late one, can't move it twice and a swapped path can't
lead elsewhere. A deploy tool that takes the same lock can't be overwritten either.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from holdfast.actions.directory_lock import locked
from holdfast.actions.key_journal import (
    ABANDONED,
    BEGUN,
    DONE,
    append_entry,
    drop_ready,
    last_entry,
    lies_ready,
    ready_name,
)
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import HoldfastError
from holdfast.response.ports import Effect

LINK = "current"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")


class LinkError(HoldfastError):
    """The link or a release is not as it must be. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where the link points, and which link it is: the same text set again is another link."""

    version: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From one release to another, under a key."""

    key: str
    before: str
    after: str
    identity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How a move ended. `ok` with PRESENT: the link was moved by this key, now or earlier."""

    ok: bool
    effect: Effect
    text: str
    category: str | None = None


class ReleaseLink:
    """The link of one release directory, open for as long as the `with` lasts."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise LinkError(f"{self._directory} can't be opened: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self) -> Link:
        """Read the link. Raises LinkError unless it is there and leads to a plain version."""
        try:
            version = os.readlink(LINK, dir_fd=self._fd)
            identity = self._identity(LINK)
        except OSError as error:
            raise LinkError(
                f"{self._directory / LINK} can't be read as a link: {error.strerror}"
            ) from error
        if not VERSION.match(version):
            raise LinkError(
                f"{self._directory / LINK} points to {version!r}, which is no plain version name;"
                " it is left alone"
            )
        return Link(version=version, identity=identity)

    def require_complete(self, version: str) -> None:
        """Raise LinkError unless `version` is a readable directory with something in it."""
        if not VERSION.match(version):
            raise LinkError(f"{version!r} is no plain version name, such as v1.4.2")
        try:
            kind = os.stat(version, dir_fd=self._fd, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(kind):
                raise LinkError(f"release {version} is not a directory of {self._directory}")
            with self._opened(version) as fd, os.scandir(fd) as entries:
                if not any(entries):
                    raise LinkError(f"release {version} in {self._directory} is empty")
        except OSError as error:
            raise LinkError(
                f"release {version} in {self._directory} can't be read: {error.strerror}"
            ) from error

    @contextmanager
    def _opened(self, version: str) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(version, flags, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def newest_before(self, current: str) -> str | None:
        """Find the release that was put there last before `current`, by time of its directory."""
        with os.scandir(self._fd) as entries:
            times = {
                entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and VERSION.match(entry.name)
            }
        older = {name: at for name, at in times.items() if at < times.get(current, 0)}
        return max(older, key=lambda name: (older[name], name), default=None)

    def effect_of(self, key: str) -> tuple[Effect, str]:
        """Say whether the move of `key` happened. Call it under `locked()`: else it misleads."""
        entry = last_entry(self._fd, key)
        if entry is None:
            return Effect.ABSENT, "the key journal does not know this attempt"
        moved = f"from {entry.before} to {entry.after}"
        if entry.state == DONE or (entry.state == BEGUN and not lies_ready(self._fd, key)):
            return Effect.PRESENT, f"the key journal has it: moved {moved} at {entry.at}"
        return Effect.ABSENT, (
            f"the key journal has it as {entry.state} at {entry.at}: not moved {moved}"
        )

    def link_of(self, key: str) -> str | None:
        """Name the very link that the move of `key` put there; None where that is not known."""
        entry = last_entry(self._fd, key)
        return entry.link if entry else None

    def move(self, move: Move) -> Moved:
        """Compare and set, at most once for a key. Call it under `locked()`."""
        entry = last_entry(self._fd, move.key)
        if entry is not None and entry.state == ABANDONED:
            _, evidence = self.effect_of(move.key)
            return _refused(f"refused before: {evidence}")
        if entry is not None and (entry.state == DONE or not lies_ready(self._fd, move.key)):
            if entry.state != DONE:
                self._append(move, DONE)
            _, evidence = self.effect_of(move.key)
            return Moved(
                ok=True, effect=Effect.PRESENT, text=f"already done, not repeated: {evidence}"
            )
        seen = self.read()
        same_link = move.identity is None or seen.identity == move.identity
        if seen.version != move.before or not same_link:
            self._abandon(move)
            return _refused(_changed(seen, move))
        self._replace(move)
        return Moved(
            ok=True, effect=Effect.PRESENT, text=f"moved from {move.before} to {move.after}"
        )

    @contextmanager
    def locked(self, timeout_s: float) -> Iterator[None]:
        """Hold the directory's lock. Raises LockBusyError when it can't be had in time."""
        with locked(self._fd, self._directory, timeout_s, self._clock):
            yield

    def _replace(self, move: Move) -> None:
        ready = ready_name(move.key)
        if lies_ready(self._fd, move.key):
            os.unlink(ready, dir_fd=self._fd)
        os.symlink(move.after, ready, dir_fd=self._fd)
        os.fsync(self._fd)
        # A rename keeps both, so it is known before the link is in place.
        self._append(move, BEGUN, link=self._identity(ready))
        os.rename(ready, LINK, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        os.fsync(self._fd)
        self._append(move, DONE)

    def _abandon(self, move: Move) -> None:
        """Remember the refusal, so that a late repeat gets the same answer."""
        self._append(move, ABANDONED)
        drop_ready(self._fd, move.key)

    def _identity(self, name: str) -> str:
        seen = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        return f"{seen.st_ino}:{seen.st_mtime_ns}"

    def _append(self, move: Move, state: str, link: str | None = None) -> None:
        append_entry(
            self._fd,
            move.key,
            state=state,
            before=move.before,
            after=move.after,
            at=self._clock.now(),
            link=link,
        )


def _refused(text: str) -> Moved:
    return Moved(ok=False, effect=Effect.ABSENT, text=text, category="changed_meanwhile")


def _changed(seen: Link, move: Move) -> str:
    if seen.version == move.before:
        return f"the link was set to {move.before} anew since it was looked at; it is left alone"
    if seen.version == move.after:
        return f"the link is at {move.after} already, but this attempt did not put it there"
    return (
        f"the link is at {seen.version} now, not at {move.before} as when it was looked at;"
        " it is left alone"
    )
