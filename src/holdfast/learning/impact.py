"""What was out of its normal range: which series, how far, for how long.

Only from the signals and the fresh readings that were recorded. The worst value
is the worst *recorded* one: the ledger keeps what was decided on, not every sample.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Kind, Record
from holdfast.kernel.clock import parse_at
from holdfast.learning.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesImpact:
    """One series: its normal range, the worst recorded value, and when it was out of range.

    `lasted_s`: seconds out of range, as far as every end is recorded; the time between a recovery
    and the return of the trouble is not in it.
    """

    series: str
    severity: str
    low: float | None
    high: float | None
    worst: float | None
    since: datetime | None
    until: datetime | None
    lasted_s: float | None
    seqs: tuple[int, ...]

    @property
    def times_the_range(self) -> float | None:
        """Hold the worst value against the top of its range; None where it was not above it."""
        if self.worst is None or not self.high or self.high <= 0 or self.worst <= self.high:
            return None
        return self.worst / self.high


def impact(account: Account) -> tuple[SeriesImpact, ...]:
    """List every series that was bad, in the order in which it was seen."""
    seen: dict[str, list[tuple[Record, Mapping[str, Any]]]] = {}
    for record, signal in _signals(account):
        seen.setdefault(signal["series"], []).append((record, signal))
    return tuple(_one(account, series, pairs) for series, pairs in seen.items())


def _signals(account: Account) -> Iterator[tuple[Record, Mapping[str, Any]]]:
    for record in account.all(Kind.INCIDENT_OPENED, Kind.SIGNAL_ATTACHED, Kind.REOPENED):
        if record.kind == Kind.SIGNAL_ATTACHED:
            yield record, record.data["signal"]
        else:
            yield from ((record, signal) for signal in record.data.get("signals", ()))


def _one(
    account: Account, series: str, pairs: list[tuple[Record, Mapping[str, Any]]]
) -> SeriesImpact:
    bad = [(record, signal) for record, signal in pairs if signal.get("state") != "returned"]
    first = (bad or pairs)[0][1]
    low, high = first.get("low"), first.get("high")
    values = [signal.get("value") for _, signal in bad] + _fresh_readings(account, series)
    ended, ended_by = _end(account, pairs)
    critical = any(signal.get("severity") == "critical" for _, signal in bad)
    return SeriesImpact(
        series=series,
        severity="critical" if critical else str(first.get("severity", "warning")),
        low=low,
        high=high,
        worst=_worst([float(v) for v in values if isinstance(v, (int, float))], low, high),
        since=_at(first.get("at")) or account.state.started_at,
        until=ended,
        lasted_s=_lasted_s(account, pairs),
        seqs=(*(record.seq for record, _ in pairs), *ended_by),
    )


def _lasted_s(account: Account, pairs: list[tuple[Record, Mapping[str, Any]]]) -> float | None:
    """Add up the times out of range; None while it is. A proven recovery ends one too."""
    seen = [
        (record.seq, _at(signal.get("at")) or record.at, signal.get("state") == "returned")
        for record, signal in pairs
    ]
    ended = [(r.seq, r.at, True) for r in account.all(Kind.RESOLVED, Kind.DISMISSED)]
    total_s, since = 0.0, None
    for _, at, over in sorted(seen + ended):
        if not over:
            since = since or at
        elif since is not None:
            total_s, since = total_s + (at - since).total_seconds(), None
    return None if since is not None else total_s


def _fresh_readings(account: Account, series: str) -> list[Any]:
    return [
        ((record.data.get("symptom") or {}).get("series", {}).get(series) or {}).get("value")
        for record in account.all(Kind.CHECKS_RECORDED)
    ]


def _end(
    account: Account, pairs: list[tuple[Record, Mapping[str, Any]]]
) -> tuple[datetime | None, tuple[int, ...]]:
    """Say when it was last seen to return; where nobody saw that, when recovery was proven."""
    record, signal = pairs[-1]
    if signal.get("state") == "returned":
        return _at(signal.get("at")) or record.at, ()
    ending = account.last(Kind.RESOLVED, Kind.DISMISSED)
    if ending is None or (ending.kind == Kind.RESOLVED and account.state.resolved_at is None):
        return None, ()
    return ending.at, (ending.seq,)


def _worst(values: list[float], low: float | None, high: float | None) -> float | None:
    """Pick the value furthest out of the range; without a range, the first."""
    if not values:
        return None

    def distance(value: float) -> float:
        above = value - high if high is not None else 0.0
        below = low - value if low is not None else 0.0
        return max(above, below, 0.0)

    return max(values, key=distance)


def _at(text: object) -> datetime | None:
    return parse_at(text) if isinstance(text, str) else None
