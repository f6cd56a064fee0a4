"""Which incidents no runbook fits, which runbooks fit none, and which two fit equally well.

Said by what can happen at all, not by what did: types, labels, checks and services. A check's
outcome is anybody's guess here, so a criterion on one counts as met.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from holdfast.runbooks.errors import nearest
from holdfast.runbooks.lint import Finding, Severity
from holdfast.runbooks.model import Runbook

_MATCH_LINE = 2
_CHECK = re.compile(r"\bchecks\.(\w+)")
_SERVICE, _REGION = "service", "region"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An incident that can happen, and why."""

    incident_type: str
    service: str | None
    why: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What can happen in an installation.

    `services` maps a name to the runbooks that it prefers; empty: nothing is known of them.
    `checks` exist; `missing_checks` of them are not set up here.
    """

    incident_types: Collection[str]
    checks: Collection[str]
    missing_checks: Collection[str] = ()
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)
    regions: Collection[str] = ()


def never_fits(runbook: Runbook, ground: Ground) -> Iterator[Finding]:
    """Find criteria that no incident can meet."""
    wanted = runbook.match
    for name in wanted.incident_types:
        if name not in ground.incident_types:
            known = nearest(name, ground.incident_types)
            yield _warning("match", f"no incident ever has the type {name!r}; {known}")
    for name in wanted.checks:
        if problem := _no_check(name, ground):
            yield _warning("match", f"{problem}, so this never fits")
    yield from _labels(wanted.labels, ground)
    if ground.services:
        for name in runbook.services:
            if name not in ground.services:
                known = nearest(name, ground.services)
                yield _warning("match", f"`services` names {name!r}, no service here; {known}")


def never_holds(runbook: Runbook, ground: Ground) -> Iterator[Finding]:
    """Find preconditions on a check that never answers here."""
    for step in runbook.steps:
        for name in dict.fromkeys(each for text in step.when for each in _CHECK.findall(text)):
            if problem := _no_check(name, ground):
                words = f"step {step.title!r}: `when`: {problem}, so it can't be told"
                yield replace(_warning("preconditions", words), line=step.line)


def _no_check(name: str, ground: Ground) -> str | None:
    if name not in ground.checks:
        return f"there is no check {name!r} ({nearest(name, ground.checks)})"
    return f"the check {name} is not set up here" if name in ground.missing_checks else None


def _labels(wanted: Mapping[str, str], ground: Ground) -> Iterator[Finding]:
    # Any other label may be one of an alert.
    for name, value in wanted.items():
        known = {_SERVICE: ground.services, _REGION: ground.regions}.get(name, ())
        if known and value not in known:
            advice = nearest(value, known)
            yield _warning("match", f"no incident has {name} {value!r}; {advice}")


def equal_fits(runbooks: Iterable[Runbook], ground: Ground) -> Iterator[tuple[Runbook, Finding]]:
    """Find pairs that can fit one incident equally well: nobody chooses between them."""
    able = [each for each in runbooks if each.executable and not each.match.is_empty]
    for first, second in combinations(able, 2):
        common = _common(first, second, ground)
        if common is None or _rank(first) != _rank(second):
            continue
        fact = f"it fits {common} as well as {first.name!r} does, so none of the two is chosen"
        advice = "make one match more specific, or name one in `runbooks` of the service"
        yield second, _warning("equal fit", f"{fact}; {advice}")


def _rank(runbook: Runbook) -> int:
    wanted = runbook.match
    given = bool(wanted.incident_types) + bool(runbook.services)
    return given + len(wanted.labels) + len(wanted.checks)


def _common(first: Runbook, second: Runbook, ground: Ground) -> str | None:
    """Say which incident both can fit and none is preferred for; None where there is none."""
    one, other = first.match, second.match
    both = set(one.incident_types) & set(other.incident_types)
    if one.incident_types and other.incident_types and not both:
        return None
    for mine, yours in ((one.labels, other.labels), (one.checks, other.checks)):
        if any(mine[name] != yours[name] for name in mine.keys() & yours.keys()):
            return None
    places = _places(first, ground)
    where = [name for name in places if name in _places(second, ground)]
    even = [n for n in where if _prefers(n, first, ground) == _prefers(n, second, ground)]
    if (ground.services or first.services or second.services) and not even:
        return None
    types = sorted(both or one.incident_types or other.incident_types)
    return " or ".join(types) or "any incident with its labels and checks"


def _places(runbook: Runbook, ground: Ground) -> Sequence[str]:
    return runbook.services or tuple(ground.services)


def _prefers(service: str, runbook: Runbook, ground: Ground) -> bool:
    return runbook.name in ground.services.get(service, ())


def unanswered(
    runbooks: Iterable[Runbook], needs: Iterable[Need]
) -> Iterator[tuple[str, Sequence[Need]]]:
    """Give the types that no runbook can fit, with the incidents that would be of each."""
    known = tuple(runbooks)
    missing: dict[str, list[Need]] = {}
    for need in needs:
        if not any(could_fit(runbook, need) for runbook in known):
            missing.setdefault(need.incident_type, []).append(need)
    yield from missing.items()


def could_fit(runbook: Runbook, need: Need) -> bool:
    """Say whether a runbook can be found for this incident, whatever its checks will say."""
    wanted = runbook.match
    if wanted.is_empty:
        return False
    if wanted.incident_types and need.incident_type not in wanted.incident_types:
        return False
    if need.service is not None and runbook.services and need.service not in runbook.services:
        return False
    known = {**need.labels, **({_SERVICE: need.service} if need.service else {})}
    open_ones = {_REGION} if need.service else {_REGION, _SERVICE}
    return all(
        known[name] == value if name in known else name in open_ones
        for name, value in wanted.labels.items()
    )


def _warning(rule: str, text: str) -> Finding:
    return Finding(severity=Severity.WARNING, line=_MATCH_LINE, text=text, rule=rule)
