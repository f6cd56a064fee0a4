"""Remembers, beside what is replaced by a rename, which idempotency keys have replaced it.

Append-only JSON Lines, synced before and after the move. `begun` is written when
the new one (link or file) lies ready under a name of its own key, so after a crash the question
"did it happen?" has an answer: that name still there means no, gone means yes.
The caller holds the directory's lock.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import format_at

JOURNAL = ".holdfast-keys.jsonl"
BEGUN, DONE, ABANDONED = "begun", "done", "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The last line that the journal has for a key; `link` is which link it put there."""

    state: str
    before: str
    after: str
    at: str
    link: str | None = None


def ready_name(key: str) -> str:
    """Name what waits to be moved into place for `key`."""
    return f".holdfast-{sha256(key.encode()).hexdigest()[:24]}.link"


def lies_ready(directory_fd: int, key: str) -> bool:
    """Say whether what waits to be moved for `key` is still there."""
    try:
        os.stat(ready_name(key), dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def drop_ready(directory_fd: int, key: str) -> None:
    """Remove what waits to be moved for `key`, if it is there, durably."""
    if lies_ready(directory_fd, key):
        os.unlink(ready_name(key), dir_fd=directory_fd)
        os.fsync(directory_fd)


def last_entry(directory_fd: int, key: str) -> Entry | None:
    """Read what the journal says of `key`. A torn line, left by a crash, counts as not written."""
    found = None
    for line in _lines(directory_fd):
        try:
            row = json.loads(line)
            if row["key"] == key:
                found = Entry(
                    state=row["state"],
                    before=row["before"],
                    after=row["after"],
                    at=row["at"],
                    link=row.get("link") or (found.link if found else None),
                )
        except (ValueError, KeyError, TypeError):
            continue
    return found


def append_entry(
    directory_fd: int,
    key: str,
    *,
    state: str,
    before: str,
    after: str,
    at: datetime,
    link: str | None = None,
) -> None:
    """Append a line and sync it, with the directory's entries. Raises OSError if that fails."""
    row = {"key": key, "state": state, "before": before, "after": after, "at": format_at(at)}
    row |= {"link": link} if link else {}
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(JOURNAL, flags, 0o644, dir_fd=directory_fd)
    try:
        # A torn line must not swallow this one.
        line = (b"" if _ends_well(fd) else b"\n") + canonical_json(row) + b"\n"
        if os.write(fd, line) != len(line):
            raise OSError(f"{JOURNAL} took only a part of a line; is the disk full?")
        os.fsync(fd)
    finally:
        os.close(fd)
    os.fsync(directory_fd)


def _ends_well(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size == 0 or os.pread(fd, 1, size - 1) == b"\n"


def _lines(directory_fd: int) -> list[bytes]:
    try:
        fd = os.open(JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)
    except FileNotFoundError:
        return []
    with os.fdopen(fd, "rb") as file:
        return file.read().split(b"\n")
