"""The reference detector `zscore` over all series at once, a handful of array passes a tick.

Each series keeps a running sum and sum of squares of its last 60 samples, measured from an
anchor of its own, so that a tick costs the same whatever the window. What rounding could
turn is not trusted: such a series is judged by `exact.judge` on its window, and every
series is rebuilt from its window once per 60 ticks, before any value that was in it when
the sums were taken can have left.
"""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from holdfast.detection.exact import CONSTANT_RELATIVE, Floats, Judged, Mask, judge
from holdfast.detection.ring import Ring
from holdfast.detection.scores import Scores
from holdfast.detection.settings import DetectorSettings

# Series per pass: enough to drown the cost of a call, few enough for the cache.
BLOCK = 25_600
# Series judged or rebuilt at a time.
SHARE = 1024
# Verdicts by place among the bounds: below, near the first limit, an anomaly, near the second,
# critical, no number.
SURE = np.array([False, False, True, False, True, False])
SURELY_CRITICAL = 4
# Verdicts this close to a limit (relative) are taken from the exact rule.
NEAR = 1e-6
# A variance below this share of the mean square round the anchor has lost digits.
CANCELLED = 1e-2
# Keeps 0 / 0 out of constant series; far below anything that counts.
TINY = 1e-280
# The least variance in which TINY does not show.
LEAST = 1e-270
# Sums of squares from here on may overflow before the next rebuild.
SQUARES_MAX = 1e270

Indices = NDArray[np.intp]


@dataclass(slots=True)
class _State:
    """One array per field, one element per series (capacity of the detector)."""

    anchor: Floats
    mean: Floats  # of the window, from the anchor
    square: Floats  # mean square of the window, from the anchor
    trusted: Floats  # the least variance whose digits are good
    expected: Floats
    variance: Floats
    score: Floats  # squared: roots are taken when somebody looks
    fresh_sum: Floats  # of the samples since the last renewal, from the anchor
    fresh_square: Floats
    calm: Mask
    broken: Mask  # the fresh sums are not those of the window

    @staticmethod
    def of(capacity: int) -> "_State":
        floats = [np.full(capacity, np.nan) for _ in range(9)]
        return _State(*floats, *np.zeros((2, capacity), dtype=np.bool_))

    def grown(self, capacity: int) -> "_State":
        new = _State.of(capacity)
        for name in self.__slots__:
            getattr(new, name)[: len(self.anchor)] = getattr(self, name)
        return new


@dataclass(slots=True)
class _Block:
    """Views of one block of the state, and room to compute in."""

    part: slice
    anchor: Floats
    mean: Floats
    square: Floats
    trusted: Floats
    expected: Floats
    variance: Floats
    score: Floats
    fresh_sum: Floats
    fresh_square: Floats
    calm: Mask
    within: Mask
    new: Floats
    old: Floats
    step: Floats


def _blocks(state: _State, size: int) -> list[_Block]:
    """Cut the state into blocks of about equal size; all compute in the same room."""
    count = -(-size // BLOCK)
    edges = [size * k // count for k in range(count + 1)] if count else []
    widest = max((b - a for a, b in pairwise(edges)), default=0)
    room, within = np.empty((3, widest)), np.empty(widest, dtype=np.bool_)
    blocks = []
    for low, high in pairwise(edges):
        views = {
            field.name: getattr(state, field.name)[low:high]
            for field in fields(state)
            if field.name != "broken"
        }
        new, old, step = room[:, : high - low]
        blocks.append(
            _Block(
                part=slice(low, high),
                within=within[: high - low],
                new=new,
                old=old,
                step=step,
                **views,
            )
        )
    return blocks


class ZScore:
    """The last `window` samples of every series, and the rule over them."""

    def __init__(self, series: int = 0, *, settings: DetectorSettings | None = None) -> None:
        self.settings = settings or DetectorSettings()
        self.size = 0
        self._ring = Ring(self.settings.window)
        self._state = _State.of(0)
        self._blocks: list[_Block] = []
        self._per_sample = 1.0 / self.settings.window
        limits = (self.settings.anomaly_sigma, self.settings.critical_sigma)
        edges = [(limit * (1 + off)) ** 2 for limit in limits for off in (-NEAR, NEAR)]
        self._within = edges[0]
        self._bounds = np.array([*edges, SQUARES_MAX])
        self._turn = 0  # how far the round of rebuilds is, in ticks
        self.add(series)

    @property
    def warm_series(self) -> int:
        """How many series have enough samples to be judged."""
        return int(np.count_nonzero(self._ring.count[: self.size] >= self.settings.min_samples))

    def add(self, count: int) -> None:
        """Append `count` new series, which have no samples yet."""
        self.size += count
        self._ring.grow(self.size)
        if len(self._state.anchor) < self._ring.capacity:
            self._state = self._state.grown(self._ring.capacity)
        self._blocks = _blocks(self._state, self.size)
        self._state.broken[self.size - count : self.size] = True

    def warm(self, rows: Floats) -> None:
        """Start anew from history: `rows` (T, size), oldest first, NaN for a gap."""
        self._ring.fill(np.asarray(rows, dtype=np.float64))
        self._turn = 0
        self._state.fresh_sum[:] = 0.0
        self._state.fresh_square[:] = 0.0
        self._state.broken[:] = False
        self._rebuild(np.arange(self.size))

    def tick(self, values: Floats) -> Scores:
        """Judge one reading per series (NaN or infinite: a gap), then take it into the window."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        if values.shape != (self.size,):
            raise ValueError(f"{values.shape} readings for {self.size} series; pass one for each")
        with np.errstate(all="ignore"):
            row = self._ring.open_row(values)
            self._slide(row.values, row.oldest)
            found = self._decide(row.values, row.gaps)
            self._ring.close_row(row)
            self._state.broken[row.gaps] = True
            self._state.broken[found.stale] = True
            self._rebuild(found.stale)
            self._renew()
        return self._scores(values, found)

    # ------------------------------------------------------------------ the fast pass
    def _slide(self, values: Floats, oldest: Floats) -> None:
        for block in self._blocks:
            self._slide_block(values[block.part], oldest[block.part], block)

    def _slide_block(self, value: Floats, oldest: Floats, s: "_Block") -> None:
        """Score a block of readings, then move its sums on by one sample."""
        new, old, step, score, variance = s.new, s.old, s.step, s.score, s.variance
        np.subtract(value, s.anchor, out=new)
        np.add(s.fresh_sum, new, out=s.fresh_sum)
        np.multiply(new, new, out=old)
        np.add(s.fresh_square, old, out=s.fresh_square)
        np.add(s.anchor, s.mean, out=s.expected)
        np.multiply(s.mean, s.mean, out=old)
        np.subtract(s.square, old, out=variance)
        np.greater_equal(variance, s.trusted, out=s.calm)
        np.subtract(new, s.mean, out=score)
        np.multiply(score, score, out=score)
        np.divide(score, variance, out=score)
        np.less_equal(score, self._within, out=s.within)
        np.logical_and(s.calm, s.within, out=s.calm)
        # the window's mean moves by (new - old) / w, its mean square by that times (new + old)
        np.subtract(oldest, s.anchor, out=old)
        np.subtract(new, old, out=step)
        np.multiply(step, self._per_sample, out=step)
        np.add(s.mean, step, out=s.mean)
        np.add(new, old, out=new)
        np.multiply(new, step, out=new)
        np.add(s.square, new, out=s.square)

    # ------------------------------------------------------------------ the few that matter
    def _decide(self, values: Floats, gaps: Indices) -> "_Found":
        """Turn scores into verdicts; whatever the fast pass can't vouch for is judged exactly."""
        s, n = self._state, self.size
        found = _Found.none(n)
        if len(gaps):
            s.score[gaps] = 0.0
            s.calm[gaps] = True
        (loud,) = np.logical_not(s.calm[:n]).nonzero()
        if not len(loud):
            return found
        verdict = self._bounds.searchsorted(s.score.take(loud))
        sure = SURE.take(verdict)
        sure &= s.variance.take(loud) >= np.maximum(s.trusted.take(loud), 2 * TINY)
        sure &= s.square.take(loud) < SQUARES_MAX
        found.anomaly[loud] = sure
        found.critical[loud] = sure & (verdict == SURELY_CRITICAL)
        if not sure.all():
            found.stale = loud[~sure]
            self._judge_exactly(values, found)
        return found

    def _judge_exactly(self, values: Floats, found: "_Found") -> None:
        s, at = self._state, found.stale
        for low in range(0, len(at), SHARE):
            part = at[low : low + SHARE]
            judged = judge(self._ring.columns(part), values[part], self.settings)
            s.expected[part], s.variance[part] = judged.mean, np.square(judged.sigma)
            s.score[part] = np.square(judged.score)
            found.take(part, judged)

    # ------------------------------------------------------------------ rebuilding
    def _renew(self) -> None:
        """Once per window: put the fresh sums in the place of those that have slid.

        Fresh sums only ever had samples added, all of this window, so nothing has drifted. A
        series whose anchor moved, or that missed a tick, is rebuilt from its window instead.
        """
        self._turn = (self._turn + 1) % self.settings.window
        if self._turn:
            return
        s = self._state
        np.multiply(s.fresh_sum, self._per_sample, out=s.mean)
        np.multiply(s.fresh_square, self._per_sample, out=s.square)
        s.fresh_sum[:] = 0.0
        s.fresh_square[:] = 0.0
        self._trust(slice(None))
        self._ring.straighten()
        (broken,) = s.broken[: self.size].nonzero()
        s.broken[:] = False
        self._rebuild(broken)

    def _rebuild(self, at: Indices) -> None:
        for low in range(0, len(at), SHARE):
            part = at[low : low + SHARE]
            self._anchor_at(part, self._ring.columns(part))

    def _anchor_at(self, part: Indices, window: Floats) -> None:
        """Measure some series from a sample of theirs; a constant window becomes exactly zero."""
        s = self._state
        anchor = window[self._ring.newest].copy()
        with np.errstate(all="ignore"):
            window -= anchor
            s.anchor[part] = anchor
            s.mean[part] = np.add.reduce(window, axis=0) * self._per_sample
            np.multiply(window, window, out=window)
            s.square[part] = np.add.reduce(window, axis=0) * self._per_sample
            self._trust(part)

    def _trust(self, part: slice | Indices) -> None:
        """Say from which variance on the digits of these sums are good until the next renewal."""
        s = self._state
        square, anchor = s.square[part], s.anchor[part]
        # a spread that the exact rule may call constant is not for the fast pass
        floor = np.square(2 * CONSTANT_RELATIVE * anchor) + LEAST
        trusted = np.maximum(CANCELLED * square, floor)
        trusted[square == 0.0] = 0.0
        trusted[~(square < SQUARES_MAX)] = np.nan
        s.trusted[part] = trusted
        s.square[part] = square + TINY

    def _scores(self, values: Floats, found: "_Found") -> Scores:
        s, n = self._state, self.size
        return Scores(
            values=values,
            expected=s.expected[:n],
            variance=s.variance[:n],
            score_squared=s.score[:n],
            anomaly=found.anomaly,
            critical=found.critical,
            constant=found.constant,
            samples=self._ring.before[:n],
            min_samples=self.settings.min_samples,
            limit=self.settings.anomaly_sigma,
        )


@dataclass(slots=True)
class _Found:
    """Verdicts of one tick, and the series whose sums must be taken anew after it."""

    anomaly: Mask
    critical: Mask
    constant: Indices
    stale: Indices

    @staticmethod
    def none(n: int) -> "_Found":
        no = np.empty(0, dtype=np.intp)
        return _Found(np.zeros(n, np.bool_), np.zeros(n, np.bool_), no, no)

    def take(self, part: Indices, judged: Judged) -> None:
        self.anomaly[part], self.critical[part] = judged.anomaly, judged.critical
        self.constant = np.concatenate((self.constant, part[judged.constant & judged.anomaly]))
