"""The last 1,440 samples of every series on disk, so that a restart does not forget normal.

A ring of rows in one file, each with its number, time and checksum: a row torn by a crash is
struck out, which is a gap. Rows are written with `pwrite`, because a full disk under a mapped
file kills the process, and are read through a read-only map. Losing history is never fatal:
what can't be used is moved aside, with a message, and a new file is begun.
"""

import json
import os
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.detection.exact import Floats
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.errors import BadInputError

MAGIC = "holdfast-history"
VERSION = 1
HEADER_BYTES = 4096
HEAD = 3  # number, time, checksum: the columns before the values
SYNC_ROWS = 60


class HistoryFile:
    """One open file. `messages` says what happened on opening; `problem` why writing fails."""

    def __init__(
        self, path: Path, keys: Sequence[SignalKey], *, interval_s: float, capacity: int
    ) -> None:
        self.path = path
        self.keys = tuple(keys)
        self.messages: list[str] = []
        self.problem: str | None = None
        self._interval_s = interval_s
        self._capacity = capacity
        self._table: list[SignalKey] = []
        self._width = 0
        self._places: dict[SignalKey, int] = {}
        self._columns = np.empty(0, dtype=np.intp)
        self._fd = -1
        self._number = 0

    @classmethod
    def open(
        cls,
        path: Path | str,
        keys: Sequence[SignalKey],
        *,
        interval_s: float,
        capacity: int = 1440,
    ) -> "HistoryFile":
        """Open or begin the file at `path`; the series table lies beside it as `.json`.

        Raises BadInputError only where no file can be made at all.
        """
        history = cls(Path(path), keys, interval_s=interval_s, capacity=capacity)
        try:
            history._open()
        except OSError as error:
            raise BadInputError(
                f"history file {path} can't be opened ({error.strerror or error}); "
                "check the directory and its rights",
                field="history",
            ) from error
        return history

    def append(self, at: datetime, values: Floats) -> None:
        """Write one tick, `values` in the order of `keys`. A write that fails sets `problem`."""
        row = np.full(HEAD + self._width, np.nan)
        row[HEAD + self._columns] = values
        row[:2] = self._number + 1, at.timestamp()
        row[2] = _checksum(row)
        try:
            self._write_row(row)
        except OSError as error:
            self.problem = (
                f"history {self.path} can't be written ({error.strerror or error}); "
                "detection goes on, a restart would forget; free space there"
            )
            return
        self.problem = None
        self._number += 1
        if self._number % SYNC_ROWS == 0:
            self.flush()

    def merge(self, times: Floats, rows: Floats) -> None:
        """Take in the past, `rows` of (T, keys) at `times`: what was sampled here stays as it is.

        A moment within half an interval of a row that is there fills that row's gaps. One before,
        between or after them becomes a row of its own, as far as there is room for it.
        Raises BadInputError where the file can't be written; nothing is lost then.
        """
        block = self._map()
        block = np.array(block[_in_order(block)])
        fresh = np.full((len(times), HEAD + self._width), np.nan)
        fresh[:, 1] = times
        fresh[:, HEAD + self._columns] = rows
        fresh = fresh[np.isfinite(rows).any(axis=1)]
        for row in fresh:
            near = np.flatnonzero(np.abs(block[:, 1] - row[1]) <= self._interval_s / 2)
            if len(near):
                known = block[near[0]]
                known[HEAD:] = np.where(np.isnan(known[HEAD:]), row[HEAD:], known[HEAD:])
                row[1] = np.nan
        whole = np.concatenate((block, fresh[np.isfinite(fresh[:, 1])]))
        whole = whole[np.argsort(whole[:, 1], kind="stable")][-self._capacity :]
        whole[:, 0] = np.arange(1, len(whole) + 1)
        before = self._fd, self._width
        try:
            self._begin(self._table, whole)
        except OSError as error:
            self._fd, self._width = before
            raise BadInputError(
                f"history {self.path} can't be written ({error.strerror or error}); free space",
                field="history",
            ) from error
        self._number = len(whole)

    def rows(self, last: int | None = None) -> tuple[Floats, Floats]:
        """Give (timestamps (T,), rows (T, keys)), oldest first; the `last` ones only if given."""
        block = self._map()
        order = _in_order(block)[-(last or self._capacity) :]
        return block[order, 1], block[np.ix_(order, HEAD + self._columns)]

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        """Give (timestamps, values) of one series, oldest first. Raises KeyError."""
        block = self._map()
        order = _in_order(block)
        return block[order, 1], block[order, HEAD + self._places[key]]

    def flush(self) -> None:
        """Ask the disk to keep what was written. One tick is not worth waiting for."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            self.problem = f"history {self.path} can't be synced ({error.strerror or error})"

    def close(self) -> None:
        """Keep everything and close."""
        if self._fd >= 0:
            self.flush()
            os.close(self._fd)
            self._fd = -1

    # ------------------------------------------------------------------ opening
    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            reason = self._load()
            if reason is not None:
                self._set_aside(reason)
        if self._fd < 0:
            self._begin(list(self.keys))
        missing = [key for key in self.keys if key not in set(self._table)]
        if missing:
            self._extend(missing)
        self._places = {key: n for n, key in enumerate(self._table)}
        self._columns = np.array([self._places[key] for key in self.keys], dtype=np.intp)
        self._number = int(np.nanmax(self._map()[:, 0], initial=0.0))

    def _load(self) -> str | None:
        """Take over the file there; otherwise say why it can't be used."""
        try:
            head = _read_head(self.path)
            table = json.loads(self._table_path.read_text(encoding="utf-8"))
            keys = [SignalKey(*key) for key in table["keys"]]
            width, capacity = int(head["width"]), int(head["capacity"])
            stored_s = float(head["interval_s"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"can't be read ({error})"
        size = HEADER_BYTES + 8 * capacity * (HEAD + width)
        if self.path.stat().st_size != size or len(keys) > width or len(set(keys)) < len(keys):
            return f"has {self.path.stat().st_size} bytes where its header says {size}"
        if stored_s != self._interval_s:
            return f"has a sample every {stored_s:g} s, and now it is every {self._interval_s:g} s"
        if capacity != self._capacity:
            return f"has room for {capacity} samples, and now it is {self._capacity}"
        self._table, self._width = keys, width
        self._fd = os.open(self.path, os.O_RDWR)
        self._strike_out_torn_rows()
        return None

    def _set_aside(self, reason: str) -> None:
        aside = self.path.with_name(self.path.name + ".aside")
        self.path.replace(aside)
        self.messages.append(
            f"history {self.path} {reason}; moved to {aside.name}, detection starts anew and "
            "needs 30 samples; delete the old file when it is not needed"
        )

    def _begin(self, keys: list[SignalKey], rows: Floats | None = None) -> None:
        """Make a new file (with `rows` of an older one), whole before it takes the name."""
        width = max(64, 2 * len(keys)) if rows is not None else max(64, len(keys))
        fresh = self.path.with_name(self.path.name + ".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        head = {
            "magic": MAGIC,
            "version": VERSION,
            "interval_s": self._interval_s,
            "capacity": self._capacity,
            "width": width,
        }
        os.pwrite(fd, json.dumps(head).encode().ljust(HEADER_BYTES), 0)
        os.ftruncate(fd, HEADER_BYTES + 8 * self._capacity * (HEAD + width))
        previous, self._fd, self._width = self._fd, fd, width
        for old in () if rows is None else rows:
            row = np.full(HEAD + width, np.nan)
            row[: len(old)] = old
            row[2] = _checksum(row)
            self._number = int(row[0]) - 1
            self._write_row(row)
        os.fsync(fd)
        fresh.replace(self.path)
        self._write_table(keys)
        if previous >= 0:
            os.close(previous)

    def _extend(self, keys: list[SignalKey]) -> None:
        """Make room for new series, in the file there or in a wider one."""
        table = [*self._table, *keys]
        if len(table) <= self._width:
            self._write_table(table)
            return
        block = self._map()
        self._begin(table, block[_in_order(block)])

    def _write_table(self, keys: list[SignalKey]) -> None:
        fresh = self._table_path.with_name(self._table_path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"magic": MAGIC, "keys": [list(key) for key in keys]}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._table_path)
        self._table = keys

    @property
    def _table_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    # ------------------------------------------------------------------ rows
    def _write_row(self, row: Floats) -> None:
        place = (int(row[0]) - 1) % self._capacity
        data = row.tobytes()
        written = os.pwrite(self._fd, data, HEADER_BYTES + place * len(data))
        if written != len(data):
            raise OSError(28, "no space left for a whole row")

    def _strike_out_torn_rows(self) -> None:
        """Give a row whose checksum is wrong the number 0, once, so that no reader need check."""
        for place, row in enumerate(self._map()):
            if row[0] != 0.0 and not (row[0] > 0 and row[2] == _checksum(row)):
                os.pwrite(self._fd, bytes(8), HEADER_BYTES + 8 * place * len(row))

    def _map(self) -> Floats:
        return np.memmap(
            self.path,
            dtype=np.float64,
            mode="r",
            offset=HEADER_BYTES,
            shape=(self._capacity, HEAD + self._width),
        )


def _in_order(block: Floats) -> NDArray[np.intp]:
    """Give the rows that were written, oldest first."""
    numbers = np.array(block[:, 0])
    order = np.argsort(numbers, kind="stable")
    return order[numbers[order] > 0]


def _checksum(row: Floats) -> float:
    """Sum up a row's number, time and values; never 0, so that an empty row is no row."""
    return float(zlib.crc32(row[HEAD:].tobytes(), zlib.crc32(row[:2].tobytes())) + 1)


def _read_head(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = json.loads(file.read(HEADER_BYTES))
    if not isinstance(head, dict) or head.get("magic") != MAGIC:
        raise ValueError(f"no history of Holdfast in {path.name}")
    if head["version"] != VERSION:
        raise ValueError(f"version {head['version']} where {VERSION} is known")
    return head
