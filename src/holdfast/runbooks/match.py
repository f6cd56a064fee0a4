"""Which runbook fits this incident, and why the others do not.

A runbook fits when every criterion that it gives is met. What its service prefers comes first, then
what is more specific. Two executable ones that fit equally well are nobody's to choose between: the
answer is none, and says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.kernel import Reason
from holdfast.runbooks.model import SUSPECT, Runbook

RULE = "runbook match"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A runbook that meets some of its criteria; the reasons say which it does not."""

    runbook: Runbook
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The runbook to follow (or none), the others that fit, and those that nearly do."""

    best: Runbook | None
    alternatives: tuple[Runbook, ...]
    near_misses: tuple[NearMiss, ...]
    reasons: tuple[Reason, ...]

    def as_data(self) -> dict[str, Any]:
        return {
            "best": self.best.name if self.best else None,
            "alternatives": [runbook.name for runbook in self.alternatives],
            "near_misses": [
                {"runbook": near.runbook.name, "why_not": [r.sentence() for r in near.reasons]}
                for near in self.near_misses
            ],
            "reasons": [reason.as_data() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    runbook: Runbook
    reasons: tuple[Reason, ...]
    preferred: bool

    @property
    def met(self) -> int:
        return sum(reason.ok for reason in self.reasons)

    @property
    def fits(self) -> bool:
        return bool(self.reasons) and all(reason.ok for reason in self.reasons)

    @property
    def rank(self) -> tuple[bool, int, bool]:
        return (self.preferred, self.met, self.runbook.executable)


def match(
    runbooks: Iterable[Runbook],
    incident_type: str,
    labels: Mapping[str, str],
    checks: Mapping[str, Mapping[str, Any]],
    services: Sequence[str],
    *,
    preferred: Sequence[str] = (),
    alerts: Sequence[Mapping[str, str]] = (),
) -> Match:
    """Choose among `runbooks`; `preferred` are those that the service's catalogue entry names.

    `alerts` are the labels of each alert that is firing: one of them has to have all the labels
    that a runbook asks for, beside `labels`.
    """
    candidates = [
        _Candidate(
            runbook=runbook,
            reasons=tuple(
                _criteria(
                    runbook, incident_type, _closest(runbook, labels, alerts), checks, services
                )
            ),
            preferred=runbook.name in preferred,
        )
        for runbook in runbooks
    ]
    fitting = sorted((c for c in candidates if c.fits), key=lambda c: c.runbook.name)
    fitting.sort(key=lambda c: c.rank, reverse=True)
    near = sorted(
        (c for c in candidates if not c.fits and c.met), key=lambda c: (-c.met, c.runbook.name)
    )
    best, reasons = _choose(fitting, incident_type)
    return Match(
        best=best,
        alternatives=tuple(c.runbook for c in fitting if c.runbook is not best),
        near_misses=tuple(
            NearMiss(runbook=c.runbook, reasons=tuple(r for r in c.reasons if not r.ok))
            for c in near
        ),
        reasons=reasons,
    )


def _choose(
    fitting: Sequence[_Candidate], incident_type: str
) -> tuple[Runbook | None, tuple[Reason, ...]]:
    if not fitting:
        return None, (
            _reason(ok=False, text=f"no runbook fits an incident of type {incident_type}"),
        )
    first = fitting[0]
    equal = [c.runbook.name for c in fitting if c.rank == first.rank]
    if len(equal) > 1 and first.runbook.executable:
        names = " and ".join(equal)
        advice = "name one in `runbooks` of the service, or make its match more specific"
        return None, (_reason(ok=False, text=f"{names} fit equally well; {advice}"),)
    return first.runbook, (*_why(first), *first.reasons)


def _why(chosen: _Candidate) -> Iterable[Reason]:
    name = chosen.runbook.name
    grounds = "preferred by the service" if chosen.preferred else "the most specific one that fits"
    yield _reason(ok=True, text=f"runbook {name} is {grounds} ({chosen.met} criteria met)")
    if not chosen.runbook.executable:
        yield _reason(ok=True, text=f"runbook {name} has no executable step; a person follows it")


def _closest(
    runbook: Runbook, labels: Mapping[str, str], alerts: Sequence[Mapping[str, str]]
) -> Mapping[str, str]:
    """Give the labels of the incident with those of the alert that fits this runbook best."""
    known = {name: value for name, value in labels.items() if value}
    found = [{**alert, **known} for alert in alerts] or [dict(labels)]
    wanted = runbook.match.labels.items()
    return max(found, key=lambda each: sum(each.get(name) == value for name, value in wanted))


def _criteria(
    runbook: Runbook,
    incident_type: str,
    labels: Mapping[str, str],
    checks: Mapping[str, Mapping[str, Any]],
    services: Sequence[str],
) -> Iterable[Reason]:
    """Give one reason for each criterion that the runbook states; none means it never fits."""
    wanted = runbook.match
    if wanted.is_empty:
        return
    if wanted.incident_types:
        ok = incident_type in wanted.incident_types
        yield _criterion("incident type", incident_type, " or ".join(wanted.incident_types), ok=ok)
    for name, value in wanted.labels.items():
        found = labels.get(name)
        yield _criterion(f"label {name}", found or "absent", value, ok=found == value)
    for name, status in wanted.checks.items():
        yield _check(name, status, checks.get(name))
    if runbook.services:
        shared = [service for service in services if service in runbook.services]
        found = ", ".join(services) or "none"
        yield _criterion("service", found, " or ".join(runbook.services), ok=bool(shared))


def _check(name: str, wanted: str, result: Mapping[str, Any] | None) -> Reason:
    what = f"check {name}"
    if result is None:
        return _criterion(what, "not run", wanted, ok=False)
    at = result.get("at")
    if wanted == SUSPECT:
        suspect = result.get("suspect")
        found = "names a suspect" if suspect else f"{result.get('status')}, names no suspect"
        return _criterion(what, found, "names a suspect", ok=bool(suspect), at=at)
    status = str(result.get("status"))
    return _criterion(what, status, wanted, ok=status == wanted, at=at)


def _criterion(what: str, found: str, wanted: str, *, ok: bool, at: object = None) -> Reason:
    return Reason(
        rule=RULE,
        ok=ok,
        text=f"{what} fits" if ok else f"{what} does not fit",
        reading=found,
        threshold=wanted,
        source=what,
        at=at if isinstance(at, str) else None,
    )


def _reason(*, ok: bool, text: str) -> Reason:
    return Reason(rule=RULE, ok=ok, text=text)
