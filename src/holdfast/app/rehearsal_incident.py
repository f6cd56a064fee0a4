"""Takes what a rehearsal begins with from an incident's records, and from what was sampled then.

It begins where the diagnosis did: with what the checks found, before anything was decided on it.
What a step led to is what was recorded of the same action on the same target.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

from holdfast.app.rehearsal_stage import Known, Outcome
from holdfast.engine.ports import Floats
from holdfast.incident import Kind, Record, State, fold
from holdfast.kernel.catalogue import Catalogue, SignalKey
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError
from holdfast.policy import SetMode
from holdfast.response.ports import CheckResult, Effect, Health
from holdfast.response.store import LoggedAction
from holdfast.sources import HistoryFile

_STANDS_FOR = 3
_DATA_LEFT_OUT = frozenset({"summary", "at", "took_s"})
Pairs = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """Samples of the history; where it has none up to the beginning, the recorded reading."""

    history: Mapping[SignalKey, Pairs]
    at: datetime
    readings: Mapping[str, float]
    interval_s: float

    def acted(self, number: int, at: datetime) -> None:
        """What was sampled is what it is, whatever is rehearsed."""

    def read(self, key: SignalKey, until: datetime) -> Pairs:
        known = [pair for pair in self.history.get(key, ()) if pair[0] <= until]
        if known or str(key) not in self.readings:
            return known
        ago = [timedelta(seconds=n * self.interval_s) for n in reversed(range(_STANDS_FOR))]
        return [(self.at - each, self.readings[str(key)]) for each in ago]


def from_records(
    records: Sequence[Record],
    source: str,
    *,
    interval_s: float,
    history: Mapping[SignalKey, Pairs],
    log: Sequence[LoggedAction] = (),
    modes: tuple[SetMode, ...] = (),
) -> Known:
    """Begin with an incident at its last diagnosis. Raises BadInputError where it has none."""
    looked = [
        number
        for number, record in enumerate(records)
        if record.kind == Kind.CHECKS_RECORDED and record.data.get("purpose") == "diagnosis"
    ]
    if not looked:
        raise BadInputError(
            f"{source} has no diagnosis yet, so there is nothing to rehearse on; wait for its "
            "checks, or give a state file"
        )
    known, later = records[: looked[-1] + 1], records[looked[-1] + 1 :]
    last, state = known[-1], fold(known, known[0].incident_id)
    series = (state.symptom or {}).get("series", {})
    values = {name: facts.get("value") for name, facts in series.items()}
    readings = {name: value for name, value in values.items() if value is not None}
    sampled = any(at <= last.at for pairs in history.values() for at, _ in pairs)
    note = "where no sample of then is kept, the recorded reading stands for three"
    return Known(
        source=f"{source} as of {format_at(last.at)}",
        at=last.at,
        records=tuple(known),
        samples=lambda: _Recorded(
            history=history, at=last.at, readings=readings, interval_s=interval_s
        ),
        checks=lambda _acts, now: _checks(state, now),
        outcome=_outcomes(later),
        log=tuple(each for each in log if each.at <= last.at),
        modes=modes,
        notes=() if sampled else (note,),
    )


def _checks(state: State, now: datetime) -> dict[str, CheckResult]:
    """Give the recorded results, as if they were the same now."""
    return {
        name: CheckResult(
            name=name,
            status=Health(found["status"]),
            summary=str(found.get("summary", "")),
            at=now,
            data={key: item for key, item in found.items() if key not in _DATA_LEFT_OUT},
        )
        for name, found in state.checks.items()
    }


def _outcomes(later: Sequence[Record]) -> Any:  # noqa: ANN401 - the shape of Known.outcome
    done = [r.data for r in later if r.kind in {Kind.STEP_FINISHED, Kind.STEP_RECONCILED}]

    def outcome(_number: int, action: str, target: str) -> Outcome | None:
        found = [d for d in done if (d.get("action"), d.get("target")) == (action, target)]
        if not found:
            return None
        first = found[0]
        return Outcome(
            said=str(first["outcome"]),
            summary=str(first.get("summary") or "as recorded"),
            effect=Effect(first.get("effect", Effect.UNKNOWN.value)),
        )

    return outcome


def recorded_verdicts(records: Sequence[Record]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Give what was recorded of each step's verification, by action and target."""
    steps = {
        record.data["step_id"]: (record.data["action"], record.data["target"])
        for record in records
        if record.kind == Kind.STEP_INTENDED
    }
    return {
        steps[record.data["step_id"]]: record.data
        for record in records
        if record.kind == Kind.VERIFICATION_RECORDED and record.data["step_id"] in steps
    }


def sampled_then(
    path: Path, catalogue: Catalogue, services: Iterable[str], *, interval_s: float
) -> Mapping[SignalKey, Pairs]:
    """Read what was sampled of these services and of those connected with them.

    From a copy of the history: `serve` may be writing to the file.
    """
    keys = catalogue.series()
    near = {
        name
        for each in services
        for name in (each, *catalogue.dependencies(each), *catalogue.dependents(each))
        if each in catalogue.services
    }
    if not keys or not path.is_file():
        return {}
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for each in (path, path.with_name(path.name + ".json")):
            if each.is_file():
                copyfile(each, copy.with_name(each.name))
        file = HistoryFile.open(copy, keys, interval_s=interval_s)
        try:
            return {key: _pairs(*file.column(key)) for key in keys if key.service in near}
        finally:
            file.close()


def _pairs(times: Floats, values: Floats) -> Pairs:
    return [
        (datetime.fromtimestamp(at, UTC), value)
        for at, value in zip(times.tolist(), values.tolist(), strict=True)
    ]
