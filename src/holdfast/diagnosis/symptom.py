"""Is the trouble still there? Read afresh, before anything is decided on it.

A detector fires once and goes quiet while the service stays broken, so its
silence says nothing. Here each series that opened the incident is held against
the range that was normal before it began. A missing reading is neither present
nor absent. Nor is an alert that calls itself resolved, or one that nobody has
spoken of for long: only a fresh word that it is firing counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.kernel.catalogue import ALERT, UP
from holdfast.kernel.clock import parse_at

_DOWN_IS_BAD = frozenset({"traffic"})
_PRESENT_OF_LAST = (2, 3)
_SAMPLES_LEAST = 3
_NORMAL_TOLD = 3
# A range of three sigmas is left by chance now and then; over a dozen series one of them often.
_SAMPLES_PER_EXCURSION = 6
# Alertmanager repeats itself every 4 hours unless it is told otherwise; and 5 minutes.
_STALE_AFTER_S = 14_700.0


class SymptomStatus(StrEnum):
    """What fresh readings say of the symptom."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCLEAR = "unclear"


_WORDS = {
    SymptomStatus.PRESENT: "out of range",
    SymptomStatus.ABSENT: "normal",
    SymptomStatus.UNCLEAR: "can't be told",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SymptomReading:
    """Recent samples of one series, oldest first; NaN is a gap."""

    series: str
    signal: str
    samples: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """The verdict over all series of the incident, with a line for each."""

    status: SymptomStatus
    series: Mapping[str, Mapping[str, Any]]
    at: datetime

    def as_data(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "series": {name: dict(facts) for name, facts in self.series.items()},
            "at": self.at.isoformat(),
        }

    def sentence(self) -> str:
        """Say what was read: every series that is not normal, and some of those that are."""
        facts = list(self.series.values())
        odd = [f["text"] for f in facts if f["status"] != SymptomStatus.ABSENT.value]
        normal = [f["text"] for f in facts if f["status"] == SymptomStatus.ABSENT.value]
        more = len(normal) - _NORMAL_TOLD
        rest = [f"{more} more are normal"] if more > 0 else []
        return "; ".join((*odd, *normal[:_NORMAL_TOLD], *rest))


def read_symptom(
    readings: Sequence[SymptomReading],
    signals: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
    window_s: float,
) -> Symptom:
    """Judge every series on the samples of the last `window_s` seconds, older ones say nothing.

    Present if two of the last three are out of range, absent if all (three at least, no gap) are
    within it but for noise. An alert among `signals` has no samples: present while it was said to
    be firing lately, and never absent. Where it has been resolved for `window_s`, as was said, the
    series decide.
    """
    facts = {r.series: _judge(r, signals[r.series], now, window_s) for r in readings}
    measured = {fact["status"] for fact in facts.values()}
    alerts = {
        name: _judge_alert(signal, now)
        for name, signal in signals.items()
        if signal["signal"] == ALERT
    }
    if SymptomStatus.PRESENT.value in measured | {fact["status"] for fact in alerts.values()}:
        status = SymptomStatus.PRESENT
    elif measured == {SymptomStatus.ABSENT.value} and all(
        _leaves_it_to_others(signals[name], now, window_s) for name in alerts
    ):
        status = SymptomStatus.ABSENT
    else:
        status = SymptomStatus.UNCLEAR
    return Symptom(status=status, series={**facts, **alerts}, at=now)


def _leaves_it_to_others(signal: Mapping[str, Any], now: datetime, window_s: float) -> bool:
    """Not while it was firing when it was last heard of, however long ago, nor right after that."""
    return signal["state"] != "bad" and now - parse_at(signal["at"]) >= timedelta(seconds=window_s)


def _judge_alert(signal: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    age_s = max(0.0, (now - parse_at(signal["at"])).total_seconds())
    firing = signal["state"] == "bad"
    fresh = age_s <= signal.get("stale_after_s", _STALE_AFTER_S)
    status = SymptomStatus.PRESENT if firing and fresh else SymptomStatus.UNCLEAR
    if not firing:
        text = "is said to be resolved: evidence, not recovery"
    elif fresh:
        text = f"is firing, as was said {age_s:.0f} s ago"
    else:
        text = f"was firing {age_s:.0f} s ago and nobody has spoken of it since: can't be told"
    return {"status": status.value, "value": None, "text": f"{signal['series']} {text}"}


def _judge(
    reading: SymptomReading, signal: Mapping[str, Any], now: datetime, window_s: float
) -> dict[str, Any]:
    most, last = _PRESENT_OF_LAST
    window = [
        is_out(reading.signal, value, signal)
        for at, value in reading.samples
        if at > now - timedelta(seconds=window_s)
    ]
    if window[-last:].count(True) >= most:
        status = SymptomStatus.PRESENT
    elif len(window) >= _SAMPLES_LEAST and _is_calm(window):
        status = SymptomStatus.ABSENT
    else:
        status = SymptomStatus.UNCLEAR
    value = reading.samples[-1][1] if reading.samples else math.nan
    return {
        "status": status.value,
        "value": None if math.isnan(value) else value,
        "text": _text(reading.series, value, signal, status),
    }


def _is_calm(window: Sequence[bool | None]) -> bool:
    """All within the range but for a lone excursion in six samples, which is noise. No gap, and
    the newest sample is within it.
    """
    allowed = len(window) // _SAMPLES_PER_EXCURSION
    return None not in window and not window[-1] and window.count(True) <= allowed


def is_out(name: str, value: float, signal: Mapping[str, Any]) -> bool | None:
    """Say whether a sample is out of its normal range; None where it can't be told.

    What is past a declared bound is out, however normal it was before the trouble. A bound
    downwards says that down is bad.
    """
    if math.isnan(value):
        return None
    if name == UP:
        return value < 1
    above, below = signal.get("above"), signal.get("below")
    if (above is not None and value > above) or (below is not None and value < below):
        return True
    falls = name in _DOWN_IS_BAD or below is not None
    edge = signal.get("low" if falls else "high")
    if edge is None:
        return None if above is None and below is None else False
    return bool(value < edge if falls else value > edge)


def _text(series: str, value: float, signal: Mapping[str, Any], status: SymptomStatus) -> str:
    shown = "no reading" if math.isnan(value) else f"{value:.4g}"
    if signal.get("signal") == UP:
        return f"{series} is {shown} (1 = up): {_WORDS[status]}"
    low, high = signal.get("low"), signal.get("high")
    normal = (
        f"normal was {low:.4g} to {high:.4g}"
        if low is not None and high is not None
        else "no normal range is known"
    )
    bounds = "".join(
        f", limit {signal[bound]:.4g}" for bound in ("above", "below") if bound in signal
    )
    return f"{series} is {shown}, {normal}{bounds}: {_WORDS[status]}"
