"""How long it took: detect, acknowledge, act, recover.

All in seconds, all from the State. What was not recorded is None and never
counts as zero, or an incident nobody acknowledged would improve the mean.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

from holdfast.incident import State
from holdfast.kernel.clock import parse_at

_MINUTE_S, _HOUR_S = 60, 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds; None where an end is not recorded.

    detect_s: start of the trouble to opening. acknowledge_s: opening to a person's
    acknowledgement. act_s: opening to the first intent. recover_s: start of the
    trouble to proven recovery, the sustain window included.
    """

    detect_s: float | None
    acknowledge_s: float | None
    act_s: float | None
    recover_s: float | None

    def as_data(self) -> dict[str, float | None]:
        return asdict(self)


def durations(state: State) -> Durations:
    """Measure one incident."""
    acknowledged = parse_at(state.acknowledged["at"]) if state.acknowledged else None
    intents = [step.intended_at for step in state.steps if step.intended_at is not None]
    return Durations(
        detect_s=_between(state.started_at, state.opened_at),
        acknowledge_s=_between(state.opened_at, acknowledged),
        act_s=_between(state.opened_at, min(intents, default=None)),
        recover_s=_between(state.started_at, state.resolved_at),
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def seconds(value: float | None) -> str:
    """Say a duration as people do; "not recorded" for None."""
    if value is None:
        return "not recorded"
    sign, size = ("-" if value < 0 else ""), abs(value)
    if round(size, 1) < _MINUTE_S:
        return f"{sign}{size:.1f} s"
    whole = round(size)
    if whole < _HOUR_S:
        return f"{sign}{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{sign}{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
