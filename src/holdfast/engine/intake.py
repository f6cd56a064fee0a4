"""From what detection sees to what an incident is told, as plain data.

The range that was normal before the trouble is fixed here, at the opening: the
yardstick for "still there", "coming back" and "recovered" must not move with
the trouble.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from holdfast.detection import Anomaly, Opening, baseline_at
from holdfast.diagnosis import is_out
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Readings
from holdfast.incident import State
from holdfast.kernel.catalogue import ALERT, UP, Catalogue, SignalKey
from holdfast.kernel.clock import format_at

_OUT_OF, _LAST = 2, 3
# The hardest fact names the incident.
_CAUSES = ("down", "composite", "limit")
_REASONS_TOLD = 3


def baselines(
    keys: Iterable[SignalKey], readings: Readings, before: datetime, catalogue: Catalogue
) -> dict[str, dict[str, Any]]:
    """Sum up what each series was like before a moment; a series without samples is left out."""
    found: dict[str, dict[str, Any]] = {}
    for key in keys:
        timestamps, values = readings.column(key)
        base = baseline_at(timestamps, values, before.timestamp())
        if base is not None:
            found[str(key)] = {
                "service": key.service,
                "region": key.region,
                "signal": key.signal,
                "expected": base.expected,
                "low": base.low,
                "high": base.high,
                "samples": base.samples,
                **declared_bounds(key, catalogue),
            }
    return found


def declared_bounds(key: SignalKey, catalogue: Catalogue) -> dict[str, float]:
    """Give the bounds that somebody declared for a series: past them it is never normal.

    What was there before the trouble may be trouble itself, above all when it is told by the past
    of a Prometheus.
    """
    return {
        name: bound
        for limit in catalogue.services[key.service].limits
        if limit.signal == key.signal
        for name, bound in (("above", limit.above), ("below", limit.below))
        if bound is not None
    }


def merged_by_group(openings: Iterable[Opening]) -> list[Opening]:
    """Make one opening of all that a tick says about the same services: one fault, one incident.

    When a region goes, every target in it says so.
    """
    groups: dict[tuple[str, ...], list[Opening]] = {}
    for opening in openings:
        groups.setdefault(opening.group, []).append(opening)
    return [_merged(found) for found in groups.values()]


def _merged(openings: Sequence[Opening]) -> Opening:
    first = min(openings, key=lambda o: (_CAUSES.index(o.cause), o.started_at))
    if len(openings) == 1:
        return first
    ordered = [first, *(o for o in openings if o is not first)]
    more = len(ordered) - _REASONS_TOLD
    told = [o.reason for o in ordered[:_REASONS_TOLD]]
    return replace(
        first,
        services=tuple(dict.fromkeys(name for o in ordered for name in o.services)),
        regions=tuple(sorted({region for o in ordered for region in o.regions})),
        keys=tuple(dict.fromkeys(key for o in ordered for key in o.keys)),
        anomalies=tuple({a.key: a for o in ordered for a in o.anomalies}.values()),
        severity="critical" if any(o.severity == "critical" for o in ordered) else "warning",
        reason="; ".join([*told, *([f"and {more} more like it"] if more > 0 else [])]),
        reasons=tuple(reason for o in ordered for reason in o.reasons),
        started_at=min(o.started_at for o in ordered),
    )


def is_known(opening: Opening, live: Iterable[State]) -> bool:
    """Say whether the live incidents have been told all of this: it is given on every tick."""
    for state in live:
        known = [state.signals.get(str(key)) for key in opening.keys]
        if all(_says_as_much(signal, opening) for signal in known):
            return True
    return False


def _says_as_much(signal: Mapping[str, Any] | None, opening: Opening) -> bool:
    if signal is None or signal["state"] != "bad":
        return False
    return signal["severity"] == "critical" or opening.severity != "critical"


def opening_facts(
    opening: Opening,
    catalogue: Catalogue,
    readings: Readings,
    changes: Iterable[Mapping[str, Any]] = (),
) -> OpeningFacts:
    """Turn an opening into the facts of an incident."""
    series = [key for name in opening.group for key in catalogue.services[name].series()]
    normal = baselines(series, readings, opening.started_at, catalogue)
    anomalies = {anomaly.key: anomaly for anomaly in opening.anomalies}
    signals = tuple(
        {
            **signal(key, anomalies.get(key), normal.get(str(key)), opening),
            **declared_bounds(key, catalogue),
        }
        for key in dict.fromkeys((*opening.keys, *anomalies))
    )
    return OpeningFacts(
        title=_title(opening),
        severity=opening.severity,
        services=opening.services,
        group=opening.group,
        regions=opening.regions,
        signals=signals,
        baselines=normal,
        started_at=format_at(opening.started_at),
        opened_by=opening.cause,
        why=opening.reason,
        reasons=tuple(reason.as_data() for reason in opening.reasons),
        changes=tuple(change for change in changes if change["service"] in opening.group),
        owners={name: catalogue.services[name].owners for name in opening.services},
    )


def _title(opening: Opening) -> str:
    signals = ", ".join(dict.fromkeys(key.signal for key in opening.keys))
    where = ", ".join(opening.regions)
    if opening.cause == "down":
        return f"{opening.services[0]} does not answer in {where}"
    return f"{signals} of {opening.services[0]} out of range in {where}"


def signal(
    key: SignalKey,
    anomaly: Anomaly | None,
    normal: Mapping[str, Any] | None,
    opening: Opening,
) -> dict[str, Any]:
    """Describe one bad series; its range is the one from before the trouble."""
    down = key.signal == UP
    reason = (
        anomaly.reason
        if anomaly
        else next((r.text for r in opening.reasons if str(key) in r.text), opening.reason)
    )
    return {
        "series": str(key),
        "service": key.service,
        "region": key.region,
        "signal": key.signal,
        "state": "bad",
        "at": format_at(opening.at),
        "value": 0.0 if down else (anomaly.value if anomaly else None),
        "expected": normal["expected"] if normal else None,
        "low": 1.0 if down else (normal["low"] if normal else None),
        "high": None if down else (normal["high"] if normal else None),
        "score": round(anomaly.score, 2) if anomaly else None,
        "severity": anomaly.severity if anomaly else opening.severity,
        "reason": reason,
    }


def returns(state: State, readings: Readings, at: datetime) -> tuple[dict[str, Any], ...]:
    """See which bad series of an incident are back in their old range, and which left it again."""
    changed = []
    for known in state.signals.values():
        if known["signal"] == ALERT:
            continue  # only whoever raised it speaks of it again
        key = SignalKey(known["service"], known["region"], known["signal"])
        values = [value for _, value in readings.recent(key, _LAST)]
        out = [is_out(known["signal"], value, known) for value in values]
        if known["state"] == "bad" and len(out) == _LAST and all(v is False for v in out):
            changed.append(_changed(known, "returned", values[-1], at))
        elif known["state"] == "returned" and out.count(True) >= _OUT_OF:
            changed.append(_changed(known, "bad", values[-1], at))
    return tuple(changed)


def _changed(known: Mapping[str, Any], state: str, value: float, at: datetime) -> dict[str, Any]:
    word = "back in its old range" if state == "returned" else "out of its old range again"
    shown = None if math.isnan(value) else value
    reading = "no reading" if shown is None else f"{shown:.4g}"
    return {
        **known,
        "state": state,
        "value": shown,
        "at": format_at(at),
        "reason": f"{known['series']} is {word} at {reading} for {_LAST} samples",
    }
