"""Reads what a rehearsal begins with from a state file that a person wrote.

Short names are spelt out for the service and all its regions; nothing else is added. Where a
type is given and nothing was seen, an alert says so: it has no samples and names no cause.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdfast.app.advice import bad_field, explain, nearest
from holdfast.app.rehearsal_models import AfterModel, RangeModel, Samples, StateModel
from holdfast.app.rehearsal_stage import Known, Outcome
from holdfast.app.yaml_file import YamlFile, read_yaml
from holdfast.engine.intake import declared_bounds
from holdfast.incident import Draft, Kind, Record, stamp
from holdfast.kernel.catalogue import ALERT, UP, Catalogue, SignalKey, instance_name
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Freeze
from holdfast.response.ports import CheckResult, Effect, Health
from holdfast.response.store import LoggedAction

INCIDENT = "INC-0"
# A rehearsal has no date of its own, so that its output stays the same.
START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
_BEFORE = 60
_SERIES = re.compile(r"(?P<signal>\S+?)(?: of (?P<service>\S+))?(?: in (?P<region>\S+))?")
_HEALTH = tuple(each.value for each in Health)


@dataclass(slots=True, kw_only=True)
class Written:
    """Samples as a file writes them, on a grid of intervals; later pieces take over from earlier.

    A piece: from when on, and either one value or a list with one sample each interval.
    """

    interval_s: float
    steps: Sequence[Mapping[SignalKey, Samples]]
    pieces: dict[SignalKey, list[tuple[datetime, Samples]]] = field(default_factory=dict)

    def begin(self, samples: Mapping[SignalKey, Samples]) -> "Written":
        """Put down what was read up to the start: the last of a list is the newest."""
        for key, values in samples.items():
            count = len(values) if isinstance(values, list) else _BEFORE
            first = START - (count - 1) * self._interval
            self.pieces[key] = [(first, values)]
        return self

    @property
    def _interval(self) -> timedelta:
        return timedelta(seconds=self.interval_s)

    def acted(self, number: int, at: datetime) -> None:
        """Go over to the samples after step `number`, from the next sample on."""
        if not 1 <= number <= len(self.steps):
            return
        passed = math.floor((at - START) / self._interval) + 1
        for key, values in self.steps[number - 1].items():
            self.pieces.setdefault(key, []).append((START + passed * self._interval, values))

    def read(self, key: SignalKey, until: datetime) -> Sequence[tuple[datetime, float]]:
        """Give the samples up to a moment, oldest first; NaN is a gap."""
        pieces = self.pieces.get(key, [])
        if not pieces:
            return []
        count = math.floor((until - pieces[0][0]) / self._interval) + 1
        times = [pieces[0][0] + n * self._interval for n in range(max(count, 0))]
        found = ((at, self._value(pieces, at)) for at in times)
        return [(at, value) for at, value in found if value is not None]

    def _value(self, pieces: Sequence[tuple[datetime, Samples]], at: datetime) -> float | None:
        since, values = [piece for piece in pieces if piece[0] <= at][-1]
        if not isinstance(values, list):
            return values
        index = round((at - since) / self._interval)
        if index >= len(values):
            return None
        value = values[index]
        return math.nan if value is None else value


class _File:
    """One state file, with the service that its short names stand for."""

    def __init__(
        self, path: Path, catalogue: Catalogue, *, service: str | None, region: str | None
    ) -> None:
        self.file = read_yaml(path)
        model = _validated(self.file)
        self.catalogue = catalogue
        self.service = service or model.service or self._only_service()
        known = catalogue.services
        if self.service not in known:
            raise self.bad(["service"], f"is {self.service!r}; {nearest(self.service, known)}")
        self.region = region or model.region
        self.regions = known[self.service].regions
        if self.region is not None and self.region not in self.regions:
            raise self.bad(["region"], f"is {self.region!r}; {nearest(self.region, self.regions)}")
        self.model = _validated(self._filled_in())

    def bad(self, place: Sequence[int | str], text: str) -> BadInputError:
        return bad_field(self.file, place, text)

    def _only_service(self) -> str:
        names = tuple(self.catalogue.services)
        if len(names) != 1:
            known = ", ".join(names) or "none; add one to services.yaml"
            raise self.bad([], f"names no service; write --service, known are {known}")
        return names[0]

    def _filled_in(self) -> YamlFile:
        """Put the service and its (first) region in the place of ${service} and so on."""
        place = self.region or self.regions[0]
        values = {
            "${service}": self.service,
            "${region}": place,
            "${instance}": instance_name(self.service, place),
        }
        return YamlFile(
            path=self.file.path, data=_filled(self.file.data, values), root=self.file.root
        )

    def keys(self, name: str, place: Sequence[int | str]) -> Iterator[SignalKey]:
        """Spell out the name of a series: every region where it names none."""
        found = _SERIES.fullmatch(name)
        if found is None:
            text = f"holds {name!r}, no series; write SIGNAL, or SIGNAL of SERVICE in REGION"
            raise self.bad(place, text)
        service = found["service"] or self.service
        if service not in self.catalogue.services:
            raise self.bad(place, f"{name!r}: {nearest(service, self.catalogue.services)}")
        regions = self.catalogue.services[service].regions
        if found["region"] is not None and found["region"] not in regions:
            raise self.bad(place, f"{name!r}: {nearest(found['region'], regions)}")
        for region in (found["region"],) if found["region"] else regions:
            yield SignalKey(service, region, found["signal"])

    def samples(
        self, written: Mapping[str, Samples], *place: int | str
    ) -> dict[SignalKey, Samples]:
        return {
            key: values
            for name, values in written.items()
            for key in self.keys(name, [*place, name])
        }

    def checks(
        self, written: Mapping[str, Mapping[str, Any]], now: datetime, *place: int | str
    ) -> dict[str, CheckResult]:
        found = {}
        for name, data in written.items():
            status = data.get("status")
            if status not in _HEALTH:
                text = f"is {status!r}; choose one of {', '.join(_HEALTH)}"
                raise self.bad([*place, name, "status"], text)
            found[name] = CheckResult(
                name=name,
                status=Health(status),
                summary=str(data.get("summary", "as the state file says")),
                at=now,
                data={key: item for key, item in data.items() if key != "summary"},
            )
        return found


def read_state(
    path: Path,
    catalogue: Catalogue,
    *,
    interval_s: float,
    mode: str,
    service: str | None = None,
    region: str | None = None,
) -> Known:
    """Read a state file. Raises BadInputError with file, line, field and next step."""
    file = _File(path, catalogue, service=service, region=region)
    model = file.model
    steps = [
        file.samples(after.samples, "after", number, "samples")
        for number, after in enumerate(model.after)
    ]
    before = file.samples(model.samples, "samples")
    file.checks(model.checks, START, "checks")
    for number, after in enumerate(model.after):
        file.checks(after.checks, START, "after", number, "checks")

    def checks(acts: int, now: datetime) -> Mapping[str, CheckResult]:
        written = dict(model.checks)
        for after in model.after[:acts]:
            written |= after.checks
        return file.checks(written, now)

    return Known(
        source=f"state file {path}",
        at=START,
        records=(_opened(file, mode),),
        samples=lambda: Written(interval_s=interval_s, steps=steps).begin(before),
        checks=checks,
        outcome=lambda number, _action, _target: _outcome(model.after, number),
        observed=model.observed,
        log=tuple(_log(model)),
        freeze=_freeze(model),
    )


def _validated(file: YamlFile) -> StateModel:
    try:
        return StateModel.model_validate(file.data)
    except ValidationError as error:
        raise explain(error, StateModel, file) from None


def _filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, str):
        for place, word in values.items():
            value = value.replace(place, word)
        return value
    if isinstance(value, dict):
        return {_filled(key, values): _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value


def _opened(file: _File, mode: str) -> Record:
    signals = list(_signals(file)) or list(_alert(file))
    if not signals:
        raise file.bad([], "says nothing of any trouble; write `signals` or `incident_type`")
    normal = {
        str(key): _range(file, key, given)
        for name, given in (*file.model.normal.items(), *file.model.signals.items())
        for key in file.keys(name, ["signals", name])
        if given.expected is not None
    }
    services = dict.fromkeys((*(s["service"] for s in signals), file.service))
    data = {
        "title": f"rehearsal on {file.service}",
        "severity": "critical",
        "mode": mode,
        "services": list(services),
        "regions": sorted({signal["region"] for signal in signals}),
        "signals": signals,
        "baselines": normal,
        "started_at": format_at(START),
        "opened_by": "rehearsal",
        "why": f"as {file.file.path.name} says",
    }
    draft = Draft(kind=Kind.INCIDENT_OPENED, data=data)
    return stamp(draft, incident_id=INCIDENT, seq=1, at=START)


def _signals(file: _File) -> Iterator[dict[str, Any]]:
    for name, seen in file.model.signals.items():
        for key in file.keys(name, ["signals", name]):
            down = key.signal == UP
            yield {
                **_range(file, key, seen),
                "series": str(key),
                "state": "bad",
                "at": format_at(START),
                "value": 0.0 if down else seen.value,
                "low": 1.0 if down else seen.low,
                "high": None if down else seen.high,
                "severity": seen.severity,
                "reason": f"{key} is out of its range",
            }


def _alert(file: _File) -> Iterator[dict[str, Any]]:
    if file.model.incident_type is None:
        return
    for region in file.regions:
        yield {
            "series": f"alert rehearsal of {file.service} in {region}",
            "service": file.service,
            "region": region,
            "signal": ALERT,
            "state": "bad",
            "severity": "critical",
            "at": format_at(START),
            "value": None,
            "reason": f"an alert names the type {file.model.incident_type}",
            "labels": {},
            "incident_type": file.model.incident_type,
        }


def _range(file: _File, key: SignalKey, given: RangeModel) -> dict[str, Any]:
    return {
        "service": key.service,
        "region": key.region,
        "signal": key.signal,
        "expected": given.expected,
        "low": given.low,
        "high": given.high,
        **declared_bounds(key, file.catalogue),
    }


def _outcome(after: Sequence[AfterModel], number: int) -> Outcome | None:
    if number > len(after):
        return None
    said = after[number - 1]
    return Outcome(said=said.outcome, summary=said.summary, effect=Effect(said.probe))


def _log(model: StateModel) -> Iterator[LoggedAction]:
    for number, done in enumerate(model.actions):
        yield LoggedAction(
            key=f"earlier/{number}",
            incident_id="earlier",
            step_id=f"S{number}",
            action=done.action,
            target=done.target,
            at=START - timedelta(seconds=done.ago_s),
            settled=done.settled,
        )


def _freeze(model: StateModel) -> Freeze | None:
    if model.freeze is None:
        return None
    return Freeze(scope="all", by="state file", why=model.freeze, since=START)
