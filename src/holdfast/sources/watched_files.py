"""Notices that a file of flags or of configuration was changed, and says how.

By its content, so that a touch is no change and a copy with an old date is one. The first look
only learns what is there: what was changed while nobody looked is not known. A file that is being
written is looked at again before anything is said of it.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.redact import bounded
from holdfast.sources.file_difference import can_be_read, difference

FILE_BYTES_MAX = 1024 * 1024
SUMMARY_CHARS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFile:
    """A file, and what it belongs to."""

    path: Path
    service: str
    kind: str = "config"
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What lay there. `content` is None where there is no file, `problem` says why none is read."""

    content: bytes | None
    mtime_ns: int = 0
    problem: str | None = None

    @property
    def digest(self) -> str:
        return "" if self.content is None else sha256(self.content).hexdigest()


class WatchedFiles:
    """Remembers what the files were. Used by one thread."""

    def __init__(self, files: Sequence[WatchedFile], clock: Clock) -> None:
        self._files = tuple(files)
        self._clock = clock
        self._known: dict[WatchedFile, _Look] = {}
        self._half: dict[WatchedFile, str] = {}
        self._looked_at: datetime | None = None

    def poll(self) -> tuple[Mapping[str, Any], ...]:
        """Give what has changed since the last look, in the order of the files."""
        now = self._clock.now()
        changes = [self._change(file, now) for file in self._files]
        self._looked_at = now
        return tuple(change for change in changes if change is not None)

    @property
    def problems(self) -> tuple[str, ...]:
        """Say which files could not be read at the last look, and why."""
        return tuple(look.problem for look in self._known.values() if look.problem)

    def _change(self, file: WatchedFile, now: datetime) -> Mapping[str, Any] | None:
        look = _look(file.path)
        before = self._known.get(file)
        if before is None or (before.problem and before.content is None):
            self._known[file] = look  # not known before, or never readable
            return None
        if look.problem:
            self._known[file] = replace(before, problem=look.problem)
            return None
        if look.digest == before.digest:
            self._known[file] = replace(before, problem=None)
            return None
        if self._is_half(file, look):
            return None
        self._known[file] = look
        return self._told(file, before, look, now)

    def _is_half(self, file: WatchedFile, look: _Look) -> bool:
        """Say whether it makes no sense yet and was not the same at the last look."""
        settled = self._half.pop(file, None) == look.digest
        if look.content is None or can_be_read(file.path.name, look.content) or settled:
            return False
        self._half[file] = look.digest
        return True

    def _told(
        self, file: WatchedFile, before: _Look, look: _Look, now: datetime
    ) -> Mapping[str, Any] | None:
        if look.content is None:
            what = "the file is gone"
        elif before.content is None:
            what = "the file is there"
        else:
            different = difference(file.path.name, before.content, look.content)
            if different is None:
                return None
            what = different
        key = f"{file.path}\n{file.service}\n{look.digest}\n{look.mtime_ns}"
        if look.content is None:  # it goes each time from what it was
            key += f"\n{before.digest}\n{before.mtime_ns}"
        return {
            "id": f"file-{sha256(key.encode()).hexdigest()[:20]}",
            "at": format_at(self._time_of(look, now)),
            "kind": file.kind,
            "service": file.service,
            "region": file.region,
            "summary": bounded(_plain(f"{file.path.name}: {what}"), limit=SUMMARY_CHARS_MAX),
            "author": None,
            "version": None,
            "previous": None,
            "files": [str(file.path)],
        }

    def _time_of(self, look: _Look, now: datetime) -> datetime:
        """Take the file's own time where it lies between the two looks; a copy may keep an old."""
        written = datetime.fromtimestamp(look.mtime_ns / 1e9, UTC)
        since = self._looked_at
        return written if since is not None and since <= written <= now else now


def _plain(text: str) -> str:
    """Give the words of a file without what steers a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _look(path: Path) -> _Look:
    try:
        # Not to wait for a writer where somebody has put a pipe in the file's place.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return _Look(content=None)
    except OSError as error:
        return _Look(content=None, problem=f"{path} can't be read: {error.strerror}")
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > FILE_BYTES_MAX:
            problem = f"{path} is no plain file of at most {FILE_BYTES_MAX} bytes"
            return _Look(content=None, problem=problem)
        try:
            return _Look(content=file.read(FILE_BYTES_MAX), mtime_ns=seen.st_mtime_ns)
        except OSError as error:
            return _Look(content=None, problem=f"{path} can't be read: {error.strerror}")
