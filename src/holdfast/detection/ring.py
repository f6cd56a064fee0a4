"""The last samples of every series, one row per tick, so that a tick touches whole rows.

A series with a gap falls behind the row that all others write. Its lag is kept, and its
oldest sample is brought to the current row for the length of a tick; so nothing else needs
to know about gaps. An empty slot is NaN.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.detection.exact import Floats

Indices = NDArray[np.intp]
NONE: Indices = np.empty(0, dtype=np.intp)
EMPTY: Floats = np.empty(0)


class Row(NamedTuple):
    """One tick being written: readings with gaps filled by what would leave, and that."""

    values: Floats
    oldest: Floats
    gaps: Indices
    late: Indices
    late_slots: Indices
    displaced: Floats


class Ring:
    """`slots` is (window, series), `newest` the row last written, `count` at most the window."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.size = 0
        self.capacity = 0
        self.newest = window - 1
        self.slots: Floats = np.empty((window, 0))
        self.count = np.empty(0, dtype=np.int32)
        self.before = self.count  # the counts before this tick
        self._store = self.slots
        self._lag = np.empty(0, dtype=np.intp)
        self._late = NONE
        self._young = False

    def grow(self, size: int) -> None:
        """Make room for `size` series; capacity doubles, off a power of two to spare the cache."""
        if size > self.capacity:
            self.capacity = ((max(size, 2 * self.capacity) // 8 + 1) | 1) * 8
            store = np.full((self.window, self.capacity), np.nan)
            store[:, : self.size] = self.slots
            self._store = store
            self.count = np.concatenate((self.count, _zeros(self.capacity - len(self.count))))
            lag = np.zeros(self.capacity, dtype=np.intp)
            lag[: len(self._lag)] = self._lag
            self._lag = lag
        self._young = self._young or size > self.size
        self.size = size
        self.slots = self._store[:, :size]
        self.before = self.count

    def fill(self, rows: Floats) -> None:
        """Take over the last samples of `rows` (T, series), oldest first, gaps left out."""
        if rows.ndim != 2 or rows.shape[1] != self.size:  # noqa: PLR2004 - rows by series
            raise ValueError(f"history of shape {rows.shape} for {self.size} series")
        self.slots[:] = np.nan
        for low in range(0, self.size, 4096):
            part = slice(low, min(low + 4096, self.size))
            kept = _without_gaps(rows[:, part])[-self.window :]
            if len(kept):
                self.slots[-len(kept) :, part] = kept
        self.newest = self.window - 1
        self.count[: self.size] = (~np.isnan(self.slots)).sum(axis=0)
        self.before = self.count
        self._lag[:] = 0
        self._late = NONE
        self._young = bool((self.count[: self.size] < self.window).any())

    def columns(self, at: Indices) -> Floats:
        """Copy the windows of some series, (window, len(at)); rows are slots, not ages."""
        return self.slots[:, at]

    def open_row(self, values: Floats) -> Row:
        """Bring the oldest sample of every series to the row that this tick will write."""
        row = (self.newest + 1) % self.window
        oldest, late, late_slots, displaced = self.slots[row], self._late, NONE, EMPTY
        if len(late):
            late_slots = (row - self._lag[late]) % self.window
            displaced = oldest[late]
            oldest[late] = self.slots[late_slots, late]
            self.slots[late_slots, late] = displaced
        gaps = NONE
        finite = np.isfinite(values)
        if not finite.all():
            gaps = np.flatnonzero(~finite)
            values = values.copy()
            values[gaps] = oldest[gaps]
        return Row(
            values=values,
            oldest=oldest,
            gaps=gaps,
            late=late,
            late_slots=late_slots,
            displaced=displaced,
        )

    def close_row(self, row: Row) -> None:
        """Write the tick. A gap wrote its own oldest sample back, so its window is unchanged."""
        self.newest = (self.newest + 1) % self.window
        np.copyto(self.slots[self.newest], row.values)
        if len(row.late):
            self.slots[row.late_slots, row.late] = row.values[row.late]
            self.slots[self.newest, row.late] = row.displaced
        if len(row.gaps):
            self._lag[row.gaps] = (self._lag[row.gaps] + 1) % self.window
            self._late = np.flatnonzero(self._lag[: self.size])
        self.before = self.count
        if self._young:
            self._count(row.gaps)

    def straighten(self) -> None:
        """Turn the columns of the series that lag, so that they lag no more."""
        for low in range(0, len(self._late), 1024):
            late = self._late[low : low + 1024]
            slots = (np.arange(self.window)[:, None] - self._lag[late]) % self.window
            self.slots[:, late] = self.slots[slots, late]
            self._lag[late] = 0
        self._late = NONE

    def _count(self, gaps: Indices) -> None:
        count = self.count.copy()
        more = count[: self.size] + 1
        more[gaps] -= 1
        np.minimum(more, self.window, out=count[: self.size])
        self.count = count
        self._young = bool((count[: self.size] < self.window).any())


def _zeros(count: int) -> NDArray[np.int32]:
    return np.zeros(count, dtype=np.int32)


def _without_gaps(rows: Floats) -> Floats:
    """Move the samples of each column to the end, in order; NaN before them."""
    finite = np.isfinite(rows)
    if finite.all():
        return rows
    order = np.argsort(finite, axis=0, kind="stable")
    moved: Floats = np.take_along_axis(np.where(finite, rows, np.nan), order, axis=0)
    return moved
