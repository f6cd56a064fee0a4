"""The judge of recovery: every criterion, in every region, on fresh samples, for long enough.

Each series is found in one state; a table says what the states together mean. Before the deadline
anything short of met is pending; at the deadline it is what it is, and the caller holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.kernel import Reason, SignalKey, format_at, instance_name
from holdfast.runbooks.durations import format_duration
from holdfast.verification.expectation import Expectation
from holdfast.verification.samples import (
    Fresh,
    Run,
    Sample,
    Span,
    fresh_after,
    good_run,
)
from holdfast.verification.samples import readings_of as _readings_of
from holdfast.verification.trend import TREND_SAMPLES_MIN, Trend, trend_of
from holdfast.verification.verdict import Status, Verdict

SAMPLES_MIN = 3
STALE_S_MIN = 2.0
# Ticks come some milliseconds early or late; that must not cost a whole sample more.
JITTER_INTERVALS = 0.05
RULE = "recovery"


class _State(StrEnum):
    """Where one series stands with its criterion."""

    MET = "met"
    SHORT = "good so far, not for long enough"
    BAD = "the newest reading violates it, or the trend is another"
    FEW = "too few readings in an unbroken run to tell a trend"
    GAP = "the newest sample is a gap"
    STALE = "the newest sample is old"
    NONE = "no sample since the step"


# Read from the top: the first row whose state occurs decides. `contradiction` is found before.
_FINAL: tuple[tuple[_State, Status], ...] = (
    (_State.BAD, Status.NOT_MET),
    (_State.STALE, Status.STALE),
    (_State.NONE, Status.NO_DATA),
    (_State.GAP, Status.NO_DATA),
    (_State.FEW, Status.NO_DATA),
    (_State.SHORT, Status.NOT_MET),
)
_GOOD = frozenset({_State.MET, _State.SHORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timing:
    """The times that every series is judged by."""

    step_ended_at: datetime
    now: datetime
    interval_s: float
    sustain_min_s: float
    spans: Mapping[SignalKey, Span]

    @property
    def stale_after_s(self) -> float:
        return max(2 * self.interval_s, STALE_S_MIN)

    def window_s(self, expectation: Expectation) -> float:
        return _window_s(expectation, self.interval_s, self.sustain_min_s)

    @property
    def jitter_s(self) -> float:
        return JITTER_INTERVALS * self.interval_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One criterion in one region: its state and the words for it."""

    expectation: Expectation
    state: _State
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What was seen of one series after the step; `trend` where one is asked for and told."""

    expectation: Expectation
    key: SignalKey
    fresh: Fresh
    run: Run
    trend: Trend | None


def sustain_window_s(
    expectations: Iterable[Expectation], *, sampling_interval_s: float, sustain_min_s: float
) -> float:
    """Give the longest window that these criteria ask for, in seconds."""
    least = max(sustain_min_s, SAMPLES_MIN * sampling_interval_s)
    windows = (_window_s(each, sampling_interval_s, sustain_min_s) for each in expectations)
    return max([least, *windows])


def _window_s(expectation: Expectation, interval_s: float, sustain_min_s: float) -> float:
    samples = TREND_SAMPLES_MIN if expectation.asks_trend else SAMPLES_MIN
    return max(sustain_min_s, expectation.sustain_s, samples * interval_s)


def default_deadline(
    expectations: Iterable[Expectation],
    *,
    step_ended_at: datetime,
    sampling_interval_s: float,
    sustain_min_s: float,
) -> datetime:
    """Give recovery three windows and five intervals, so that one interruption is forgiven."""
    window_s = sustain_window_s(
        expectations, sampling_interval_s=sampling_interval_s, sustain_min_s=sustain_min_s
    )
    return step_ended_at + timedelta(seconds=3 * window_s + 5 * sampling_interval_s)


def verify(
    expectations: Sequence[Expectation],
    samples: Sequence[Sample],
    *,
    baselines: Mapping[SignalKey, float],
    step_ended_at: datetime,
    now: datetime,
    sampling_interval_s: float,
    sustain_min_s: float,
    regions: Sequence[str] | Mapping[str, Sequence[str]],
    deadline: datetime,
    spans: Mapping[SignalKey, Span] | None = None,
) -> Verdict:
    """Judge the samples taken after the step against the criteria written down before it.

    `spans` says what a sample of each series speaks for; of one that is not there it is unknown.
    """
    timing = _Timing(
        step_ended_at=step_ended_at,
        now=now,
        interval_s=sampling_interval_s,
        sustain_min_s=sustain_min_s,
        spans=spans or {},
    )
    window_s = sustain_window_s(
        expectations, sampling_interval_s=sampling_interval_s, sustain_min_s=sustain_min_s
    )
    impossible = _impossible(expectations, baselines, regions)
    if impossible:
        return Verdict(status=Status.NO_DATA, reasons=impossible, window_s=window_s)
    found = [
        _judge(expectation, key, samples, baselines.get(key), timing)
        for expectation in expectations
        for key in _keys(expectation, regions)
    ]
    reasons = tuple(each.reason for each in found)
    status = _status(found, final=now >= deadline)
    return Verdict(status=status, reasons=reasons, window_s=window_s)


def _keys(
    expectation: Expectation, regions: Sequence[str] | Mapping[str, Sequence[str]]
) -> tuple[SignalKey, ...]:
    service = expectation.service or ""
    if expectation.region is not None:
        return (SignalKey(service, expectation.region, expectation.signal),)
    places = regions.get(service, ()) if isinstance(regions, Mapping) else regions
    return tuple(SignalKey(service, region, expectation.signal) for region in places)


def _impossible(
    expectations: Sequence[Expectation],
    baselines: Mapping[SignalKey, float],
    regions: Sequence[str] | Mapping[str, Sequence[str]],
) -> tuple[Reason, ...]:
    """Name what no amount of waiting can bring: a criterion, a service, a region, a baseline."""
    if not expectations:
        return (_refused("no recovery criterion was written down before the step"),)
    return tuple(
        reason
        for expectation in expectations
        for reason in _impossible_one(expectation, baselines, regions)
    )


def _impossible_one(
    expectation: Expectation,
    baselines: Mapping[SignalKey, float],
    regions: Sequence[str] | Mapping[str, Sequence[str]],
) -> Iterable[Reason]:
    if not expectation.service:
        yield _refused(f"`{expectation.text}` names no service, so no series can be read for it")
        return
    keys = _keys(expectation, regions)
    if not keys:
        yield _refused(f"no region of {expectation.service} is known for `{expectation.text}`")
    for key in keys:
        if expectation.threshold(baselines.get(key)) is None:
            yield _refused(f"there is no baseline of {key} for `{expectation.text}`")


def _refused(text: str) -> Reason:
    return Reason(rule=RULE, ok=False, text=text)


def _judge(
    expectation: Expectation,
    key: SignalKey,
    samples: Sequence[Sample],
    baseline: float | None,
    timing: _Timing,
) -> _Found:
    threshold = expectation.threshold(baseline)
    if threshold is None:  # `_impossible` has said so before; a number is never made up
        return _Found(
            expectation=expectation, state=_State.NONE, reason=_refused(f"no baseline of {key}")
        )
    fresh = fresh_after(
        _readings_of(samples, key, until=timing.now),
        ended_at=timing.step_ended_at,
        interval_s=timing.interval_s,
        span=timing.spans.get(key, Span.UNKNOWN),
    )
    run = good_run(
        fresh.readings,
        holds=lambda value: expectation.asks_trend or expectation.holds(value, threshold),
        interval_s=timing.interval_s,
    )
    look = _Look(
        expectation=expectation,
        key=key,
        fresh=fresh,
        run=run,
        trend=_trend(expectation, fresh, run, timing),
    )
    state = _state(look, timing)
    reason = Reason(
        rule=RULE,
        ok=state is _State.MET,
        text=_words(state, look, timing),
        reading=_reading(look),
        threshold=_threshold(expectation, threshold, baseline),
        source=str(key),
        at=format_at(fresh.newest.at) if fresh.newest else None,
    )
    return _Found(expectation=expectation, state=state, reason=reason)


def _trend(expectation: Expectation, fresh: Fresh, run: Run, timing: _Timing) -> Trend | None:
    """Find the trend of the whole window; None while the unbroken run does not fill it."""
    window_s = timing.window_s(expectation)
    if not expectation.asks_trend or run.lasted_s + timing.jitter_s < window_s:
        return None
    unbroken = fresh.readings[-run.count :] if run.count else ()
    return trend_of(unbroken, window_s=window_s, slack_s=timing.jitter_s)


def _state(look: _Look, timing: _Timing) -> _State:
    newest, run = look.fresh.newest, look.run
    if newest is None:
        return _State.NONE
    if (timing.now - newest.at).total_seconds() > timing.stale_after_s:
        return _State.STALE
    if newest.value is None:
        return _State.GAP
    if look.expectation.asks_trend:
        if look.trend is None:
            return _State.FEW
        return _State.MET if look.trend.is_as(look.expectation.op) else _State.BAD
    if run.count == 0:
        return _State.BAD
    long_enough = run.lasted_s + timing.jitter_s >= timing.window_s(look.expectation)
    return _State.MET if long_enough and run.count >= SAMPLES_MIN else _State.SHORT


def _words(state: _State, look: _Look, timing: _Timing) -> str:
    fresh, run, key = look.fresh, look.run, look.key
    where = f"{key.signal} of {instance_name(key.service, key.region)}"
    lasted = format_duration(run.lasted_s)
    wanted = format_duration(timing.window_s(look.expectation))
    mixed = f" ({fresh.mixed} left out: taken across the end of the step)" if fresh.mixed else ""
    age_s = (timing.now - fresh.newest.at).total_seconds() if fresh.newest else 0.0
    if look.trend is not None and state in {_State.MET, _State.BAD}:
        return f"{where} is {look.trend.words()} over {wanted}"
    words = {
        _State.MET: f"{where} has been good for {lasted} in {run.count} samples, {wanted} needed",
        _State.SHORT: f"{where} has been good for {lasted} only ({run.count} samples), "
        f"{wanted} needed",
        _State.BAD: f"{where} violates `{look.expectation.text}`",
        _State.FEW: f"{where} was read for {lasted} without a gap ({run.count} samples); a trend "
        f"needs {wanted} and {TREND_SAMPLES_MIN} samples",
        _State.GAP: f"{where} has no reading now; without traffic a ratio says nothing",
        _State.STALE: f"{where} was last sampled {format_duration(age_s)} ago, "
        f"older than {format_duration(timing.stale_after_s)}",
        _State.NONE: f"{where} has no sample since the step ended{mixed}",
    }
    return words[state]


def _reading(look: _Look) -> str | None:
    newest = look.fresh.newest
    if newest is None:
        return None
    if newest.value is None:
        return "none"
    value = f"{newest.value:.6g}"
    return f"{value}, {look.trend.reading()}" if look.trend else value


def _threshold(expectation: Expectation, threshold: float, baseline: float | None) -> str:
    if expectation.asks_trend:
        return expectation.op
    limit = f"{expectation.op} {threshold:.6g}"
    return f"{limit} (baseline {baseline:.6g})" if expectation.uses_baseline else limit


def _status(found: Sequence[_Found], *, final: bool) -> Status:
    states = {each.state for each in found}
    if states == {_State.MET}:
        return Status.MET
    if not final:
        return Status.PENDING
    if _contradicts(found):
        return Status.CONTRADICTION
    return next(status for state, status in _FINAL if state in states)


def _contradicts(found: Sequence[_Found]) -> bool:
    """Say whether one criterion is good in one region and violated in another."""
    good = {each.expectation.text for each in found if each.state in _GOOD}
    bad = {each.expectation.text for each in found if each.state is _State.BAD}
    return bool(good & bad)
