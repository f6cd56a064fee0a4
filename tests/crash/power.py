"""Simulated disks: what is left of SQLite's files when the power goes at some moment.

A VFS notes every write, sync, truncation and deletion. An image is what a disk may hold after a
cut: all that was synced, and of what was not a random part, in any order, torn anywhere. A
deletion or creation that no sync followed may or may not have happened.

Method: crash images from a recorded trace, as in ALICE (Pillai et al., OSDI 2014) and in SQLite's
own crash tests.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

VFS = "holdfast-recording"
_BASE = "unix"
_SECTOR = 512
_CHECKPOINT_PAGES = 24
Bytes = bytes | bytearray


@dataclass(frozen=True, slots=True)
class Wrote:
    """`data` at `offset`; a truncation is an empty write that cuts at `offset`."""

    offset: int
    data: bytes
    cuts: bool = False


@dataclass(slots=True, kw_only=True)
class Disk:
    """What happened to each file, and what of it is durable, in the order of one counter.

    `durable[file]` is a list of (moment, content) with one entry after each sync; None: no file.
    """

    count: int = 0
    durable: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=dict)
    pending: dict[str, list[tuple[int, Wrote | None]]] = field(default_factory=dict)
    syncs: int = 0
    fail_at: int | None = None
    failed_at: int | None = None

    def put(self, name: str, content: bytes) -> None:
        """Start with a file that is there and durable."""
        self.durable[name] = [(0, content)]

    def moment(self) -> float:
        """Give the number of the last thing that happened."""
        return self.count

    def note(self, name: str, what: Wrote | None) -> None:
        """Note a write, a truncation or (None) a deletion."""
        self.count += 1
        self.pending.setdefault(name, []).append((self.count, what))

    def sync(self, name: str) -> bool:
        """Note a sync; False when it is number `fail_at`, and what was pending is gone for good.

        That is what Linux does: after a failed fsync the pages count as clean, and the next one
        reports success without having written them.
        """
        self.count += 1
        history = self.durable.setdefault(name, [(0, None)])
        since = history[-1][0]
        new = [what for at, what in self.pending.get(name, []) if at > since]
        self.syncs += 1
        if self.syncs == self.fail_at:
            self.failed_at = self.count
            history.append((self.count, history[-1][1]))
            return False
        history.append((self.count, _applied(history[-1][1], new)))
        return True

    def image(self, moment: int, rng: random.Random, counts: dict[str, int]) -> dict[str, bytes]:
        """Give the files as they may be when the power goes right after `moment`."""
        files = {}
        for name in sorted({*self.durable, *self.pending}):
            history = [(0, None), *self.durable.get(name, [])]
            since, content = [entry for entry in history if entry[0] <= moment][-1]
            new = [w for at, w in self.pending.get(name, []) if since < at <= moment]
            left = _applied(content, _survivors(new, rng, counts))
            if left is not None:
                files[name] = left
        return files


def _applied(content: bytes | None, new: list[Wrote | None]) -> bytes | None:
    if not new:
        return content
    after = None if content is None else bytearray(content)
    for what in new:
        if what is None:
            after = None
        else:
            after = bytearray() if after is None else after
            _write(after, what)
    return None if after is None else bytes(after)


def _write(content: bytearray, what: Wrote) -> None:
    if what.cuts:
        del content[what.offset :]
        return
    end = what.offset + len(what.data)
    content.extend(bytes(max(0, end - len(content))))
    content[what.offset : end] = what.data


def _survivors(
    new: list[Wrote | None], rng: random.Random, counts: dict[str, int]
) -> list[Wrote | None]:
    """Choose what of the unsynced reached the disk: all, nothing, or any part in any order."""
    mode = rng.random()
    if not new or mode < 0.15:
        return new
    kept = (
        [] if mode < 0.35 else [what for what in new if rng.random() < rng.choice((0.2, 0.5, 0.9))]
    )
    if mode > 0.8:
        rng.shuffle(kept)
    counts["lost"] = counts.get("lost", 0) + len(new) - len(kept)
    return [_torn(what, rng, counts) for what in kept]


def _torn(what: Wrote | None, rng: random.Random, counts: dict[str, int]) -> Wrote | None:
    """Tear some writes: at a sector, within one, or with sectors missing in the middle."""
    if what is None or what.cuts or len(what.data) < 8 or rng.random() > 0.35:
        return what
    counts["torn"] = counts.get("torn", 0) + 1
    if len(what.data) > _SECTOR and rng.random() < 0.8:
        first = rng.randrange(0, len(what.data) // _SECTOR)
        last = rng.randrange(first + 1, len(what.data) // _SECTOR + 1)
        part = slice(first * _SECTOR, last * _SECTOR)
        return Wrote(what.offset + part.start, what.data[part])
    return Wrote(what.offset, what.data[: rng.randrange(1, len(what.data))])


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str, filename: Any, flags: list[int]) -> None:  # noqa: ANN401
        self._disk, self._name = disk, name
        super().__init__(_BASE, filename, flags)

    def xWrite(self, data: Bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.note(self._name, Wrote(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.note(self._name, Wrote(newsize, b"", cuts=True))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if not self._disk.sync(self._name):
            raise apsw.IOError("the disk says EIO")
        super().xSync(flags)


class _Recording(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(VFS, _BASE)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: ANN401, N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _File(self._disk, Path(path).name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        self._disk.note(Path(filename).name, None)
        super().xDelete(filename, syncdir)


@contextmanager
def recording(disk: Disk) -> Iterator[None]:
    """Offer the VFS that notes everything on `disk`; what is opened in here checkpoints often."""
    vfs = _Recording(disk)
    with mock.patch("holdfast.ledger.writer.CHECKPOINT_PAGES", _CHECKPOINT_PAGES):
        yield
    vfs.unregister()
