"""Sets the state of one flag in a flagd file: compare and set, once for each key.

Under a lock in the file's directory: read, compare with what was seen, write a whole new file
beside it, remember the key, rename. Readers see the old file or the new one, never a half. Only
the text of the one value changes.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from holdfast.actions.directory_lock import locked
from holdfast.actions.json_span import exchanged, span
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

FILE_BYTES_MAX = 8 * 1024 * 1024
ENABLED, DISABLED = "ENABLED", "DISABLED"


class FlagError(HoldfastError):
    """The file or the flag is not as it must be. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag as it stands: `digest` is of its own text, `identity` is which file that was."""

    state: str
    digest: str
    identity: str
    digest_disabled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """From one state to another, under a key. Compared with `digest`, and `identity` if given."""

    key: str
    flag: str
    before: str
    after: str
    digest: str
    identity: str | None = None


class FlagFile:
    """One flag file, its directory open for as long as the `with` lasts."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            self._fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FlagError(f"{self._path.parent} can't be opened: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @contextmanager
    def locked(self, timeout_s: float) -> Iterator[None]:
        """Hold the directory's lock. Raises LockBusyError when it can't be had in time."""
        with locked(self._fd, self._path.parent, timeout_s, self._clock):
            yield

    def read(self, name: str) -> Flag:
        """Read one flag. Raises FlagError unless file and flag are as flagd has them."""
        text, seen = self._text()
        return self._flag(name, text, seen)

    def effect_of(self, key: str) -> tuple[Effect, str]:
        """Say whether the turn of `key` happened. Call it under `locked()`: else it misleads."""
        entry = last_entry(self._fd, key)
        if entry is None:
            return Effect.ABSENT, "the key journal does not know this attempt"
        turned = f"from {entry.before} to {entry.after}"
        if entry.state == DONE or (entry.state == BEGUN and not lies_ready(self._fd, key)):
            return Effect.PRESENT, f"the key journal has it: turned {turned} at {entry.at}"
        text = f"the key journal has it as {entry.state} at {entry.at}: not turned {turned}"
        return Effect.ABSENT, text

    def turn(self, turn: Turn) -> tuple[Effect, str]:
        """Compare and set, at most once for a key. Call it under `locked()`."""
        entry = last_entry(self._fd, turn.key)
        effect, evidence = self.effect_of(turn.key)
        if effect is Effect.PRESENT:
            if entry is not None and entry.state == BEGUN:
                self._append(turn, DONE)
            return effect, f"already done, not repeated: {evidence}"
        if entry is not None and entry.state == ABANDONED:
            return effect, f"refused before: {evidence}"
        text, seen = self._text()
        flag = self._flag(turn.flag, text, seen)
        same_file = turn.identity is None or turn.identity == flag.identity
        if flag.digest != turn.digest or not same_file or not self._replaced(turn, text, seen):
            self._abandon(turn)
            return Effect.ABSENT, (
                f"{self._path} was changed since flag {turn.flag!r} was looked at; it is left alone"
            )
        return Effect.PRESENT, f"turned from {turn.before} to {turn.after}"

    def _flag(self, name: str, text: str, seen: os.stat_result) -> Flag:
        path = ("flags", name, "state")
        try:
            start, end = span(text, path)
            state = json.loads(text[start:end])
            off = exchanged(text, path, DISABLED)
        except KeyError as error:
            raise FlagError(
                f"{self._path} has no {error.args[0]!r} on the way to the state of flag {name!r};"
                " write it as flagd does"
            ) from None
        except (ValueError, RecursionError) as error:
            raise FlagError(f"{self._path} can't be read as JSON: {error}") from None
        if state not in (ENABLED, DISABLED):
            raise FlagError(
                f"{self._path}: the state of {name!r} is {state!r}, not ENABLED or DISABLED"
            )
        return Flag(
            state=state,
            digest=_digest(text, name),
            identity=_identity(seen),
            digest_disabled=_digest(off, name),
        )

    def _text(self) -> tuple[str, os.stat_result]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self._path.name, flags, dir_fd=self._fd)
            with os.fdopen(fd, "rb") as file:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode) or seen.st_size > FILE_BYTES_MAX:
                    raise FlagError(
                        f"{self._path} is no plain file of at most {FILE_BYTES_MAX} bytes"
                    )
                return file.read().decode("utf-8"), seen
        except OSError as error:
            raise FlagError(
                f"{self._path} can't be read: {error.strerror}; a link is not followed"
            ) from error
        except UnicodeDecodeError:
            raise FlagError(f"{self._path} is not UTF-8") from None

    def _replaced(self, turn: Turn, text: str, seen: os.stat_result) -> bool:
        """Put the new file in place; False, and nothing done, if someone wrote without the lock."""
        ready = ready_name(turn.key)
        drop_ready(self._fd, turn.key)
        fd = os.open(
            ready, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._fd
        )
        with os.fdopen(fd, "wb") as file:
            file.write(exchanged(text, ("flags", turn.flag, "state"), turn.after).encode())
            file.flush()
            if seen.st_uid != os.geteuid() or seen.st_gid != os.getegid():
                os.fchown(fd, seen.st_uid, seen.st_gid)
            os.fchmod(fd, stat.S_IMODE(seen.st_mode))
            os.fsync(fd)
        os.fsync(self._fd)
        if _identity(os.stat(self._path.name, dir_fd=self._fd)) != _identity(seen):
            return False
        self._append(turn, BEGUN)
        os.rename(ready, self._path.name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        os.fsync(self._fd)
        self._append(turn, DONE)
        return True

    def _abandon(self, turn: Turn) -> None:
        """Remember the refusal, so that a late repeat gets the same answer."""
        self._append(turn, ABANDONED)
        drop_ready(self._fd, turn.key)

    def _append(self, turn: Turn, state: str) -> None:
        append_entry(
            self._fd,
            turn.key,
            state=state,
            before=turn.before,
            after=turn.after,
            at=self._clock.now(),
        )


def _identity(seen: os.stat_result) -> str:
    return f"{seen.st_ino}:{seen.st_mtime_ns}"


def _digest(text: str, name: str) -> str:
    """Digest the meaning of a flag's definition, whatever its layout."""
    start, end = span(text, ("flags", name))
    value: Any = json.loads(text[start:end])
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
