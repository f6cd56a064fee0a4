"""Which series say whether the trouble is still there, and what of them an incident was not told.

An alert has no samples, only its last word. Where nothing else is known of its
service, the service's own metrics are read beside it: that an alert calls itself
resolved is evidence, and never recovery.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.catalogue import ALERT, UP, SignalKey
from holdfast.kernel.clock import parse_at

_STALE_AFTER_S = 14_700.0
_RANGE = ("expected", "low", "high")


def symptom_series(state: State) -> tuple[SignalKey, ...]:
    """List the series whose samples say whether the trouble is still there."""
    measured = (signal for signal in state.signals.values() if signal["signal"] != ALERT)
    keys = (
        SignalKey(facts["service"], facts["region"], facts["signal"])
        for facts in (*measured, *_beside_alerts(state))
    )
    return tuple(dict.fromkeys(keys))


def judged_by(state: State) -> dict[str, Mapping[str, Any]]:
    """Give what each series is judged by: what was normal before the trouble, and the alerts."""
    return {**state.baselines, **state.signals}


def _beside_alerts(state: State) -> Iterator[Mapping[str, Any]]:
    """Give the metrics of services that nothing but alerts speaks of."""
    signals = state.signals.values()
    measured = {signal["service"] for signal in signals if signal["signal"] != ALERT}
    places: dict[str, set[str]] = {}
    for signal in signals:
        if signal["signal"] == ALERT and signal["service"] not in measured:
            places.setdefault(signal["service"], set()).add(signal["region"])
    for facts in state.baselines.values():
        regions = places.get(facts["service"])
        if regions is not None and facts["region"] in _known(regions, facts["service"], state):
            yield facts


def _known(regions: set[str], service: str, state: State) -> set[str]:
    """Of these regions those with metrics; all of them where an alert names another one or none."""
    have = {b["region"] for b in state.baselines.values() if b["service"] == service}
    return regions if regions.issubset(have) else have


def alert_labels(state: State) -> tuple[Mapping[str, str], ...]:
    """List the labels of the alerts that are firing, as far as was heard."""
    return tuple(
        signal["labels"]
        for signal in state.signals.values()
        if signal["signal"] == ALERT and signal["state"] == "bad"
    )


def news(
    state: State,
    signals: Iterable[Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Any]],
) -> tuple[Draft, ...]:
    """Say what of these signals this incident has not been told yet; an ended one needs nothing."""
    if state.ended:
        return ()
    return tuple(
        Draft(
            kind=Kind.SIGNAL_ATTACHED,
            data={
                "signal": in_first_range(state, signal),
                "baselines": _baselines_of(state, signal, baselines),
            },
        )
        for signal in signals
        if is_news(state, signal)
    )


def in_first_range(state: State, signal: Mapping[str, Any]) -> dict[str, Any]:
    """Give the signal the range from before the first trouble, where that is known.

    The range just before this one may have the first one in it.
    """
    name = signal["series"]
    first = state.signals.get(name) or state.baselines.get(name)
    if first is None or signal["signal"] in {UP, ALERT}:
        return dict(signal)
    known = {part: first.get(part) for part in _RANGE}
    if all(value is None for value in known.values()):
        return dict(signal)
    return {**signal, **known}


def _baselines_of(
    state: State, signal: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Pick the range of this series; of an alert, the ranges of its service not known yet."""
    if signal["signal"] == ALERT:
        return {
            name: dict(facts)
            for name, facts in baselines.items()
            if facts["service"] == signal["service"] and name not in state.baselines
        }
    name = signal["series"]
    return {name: dict(baselines[name])} if name in baselines else {}


def is_news(state: State, signal: Mapping[str, Any]) -> bool:
    """Say whether this incident does not know as much of this series already."""
    known = state.signals.get(signal["series"])
    if known is None:
        return bool(signal["state"] == "bad")
    if signal["state"] == "returned" and _started(signal) < _started(known):
        return False  # of an earlier occurrence: the one that is known goes on
    if signal["state"] != known["state"]:
        return True
    if signal["severity"] == "critical" and known["severity"] != "critical":
        return True
    is_firing = signal["signal"] == ALERT and signal["state"] == "bad"
    return is_firing and _is_fresher(known, signal)


def _is_fresher(known: Mapping[str, Any], signal: Mapping[str, Any]) -> bool:
    """A new occurrence, or the old one told again after so long that the last word grew old.

    Not every repetition is a record: half the time for which a word counts may pass between two,
    and whoever does not say when it began tells of no new occurrence.
    """
    if not signal.get("start_unknown") and _started(signal) > _started(known):
        return True
    since_s = (parse_at(signal["at"]) - parse_at(known["at"])).total_seconds()
    return since_s >= float(signal.get("stale_after_s", _STALE_AFTER_S)) / 2


def _started(signal: Mapping[str, Any]) -> str:
    """Give when an alert's occurrence began; what was measured has only one."""
    return str(signal.get("starts_at", ""))
