"""Says whether a step can reach a target here, with the parameters that it gives.

Only what is written down is looked at: the catalogue and the allow-lists of the configuration. No
target is contacted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.app.action_needs import CALLS, NEEDS, AllowList, Needs
from holdfast.app.advice import nearest
from holdfast.kernel.catalogue import Catalogue, Service, split_instance
from holdfast.runbooks import Finding, Runbook, RunbookStep, Severity

_OPEN = "${"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What an installation lets actions touch; `calls` None where that is not known."""

    catalogue: Catalogue
    calls: Mapping[str, Mapping[str, Any]] | None = field(default=None)


def lint_targets(runbook: Runbook, reach: Reach) -> Iterator[Finding]:
    """Find steps that no target here fits, and parameters that their action refuses."""
    for step in runbook.steps:
        needs = NEEDS.get(step.action)
        if needs is None:
            continue  # a plug-in's, or an unknown one: `lint` says so
        yield from _params(step, needs, reach)
        if reach.catalogue.services:
            yield from _target(runbook, step, needs, reach.catalogue)


def _target(
    runbook: Runbook, step: RunbookStep, needs: Needs, catalogue: Catalogue
) -> Iterator[Finding]:
    name, region = split_instance(step.target)
    written_out = _OPEN not in step.target
    if written_out and name not in catalogue.services:
        yield _error(step, f"no service {name!r}; {nearest(name, catalogue.services)}")
        return
    if written_out and region is not None and region not in catalogue.services[name].regions:
        known = nearest(region, catalogue.services[name].regions)
        yield _error(step, f"{name} does not run in {region!r}; {known}")
    services = _candidates(runbook, step, catalogue)
    able = [service for service in services if _sections(needs, service)]
    regional = any(set(needs.regional) & set(_sections(needs, service)) for service in able)
    if needs.whole and not regional and ("@" in step.target or "instance" in step.target):
        fact = f"{step.action} acts on a whole service and `target` is {step.target}"
        yield _warning(step, f"{fact}; write ${{entity}} or the service's name")
    if needs.sections and not able:
        where = " or ".join(f"control.{section}" for section in needs.sections)
        who = ", ".join(service.name for service in services) or "no service"
        fact = f"{step.action} needs {where}, which {who} has not"
        if len(services) > 1:
            fact = f"{step.action} needs {where}, which none of {who} has"
        yield _warning(step, f"{fact}, so it is always refused; add it in services.yaml")
    yield from _lists(step, needs, able)


def _candidates(runbook: Runbook, step: RunbookStep, catalogue: Catalogue) -> Sequence[Service]:
    """List the services that the step can act on, whatever incident it is chosen for."""
    name = split_instance(step.target)[0]
    names = [name] if _OPEN not in name else (runbook.services or catalogue.services)
    return [catalogue.services[each] for each in names if each in catalogue.services]


def _sections(needs: Needs, service: Service) -> list[str]:
    return [section for section in needs.sections if service.control.get(section)]


def _params(step: RunbookStep, needs: Needs, reach: Reach) -> Iterator[Finding]:
    for name in step.params:
        if name not in needs.params:
            known = ", ".join(needs.params) or "none"
            yield _error(step, f"{step.action} has no parameter {name!r}; it takes {known}")
    for name in needs.required:
        if name not in step.params:
            yield _error(step, f"{step.action} needs the parameter {name!r}; write it in `params`")
    by = step.params.get("by", 1)
    if step.action == "scale_up" and (isinstance(by, bool) or not isinstance(by, int) or by < 1):
        yield _error(step, f"scale_up: `by` is {by!r}; write a whole number of at least 1")
    section = CALLS.get(step.action)
    if section is not None and reach.calls is not None and "call" in step.params:
        known_calls = reach.calls.get(section, {})
        call = step.params["call"]
        if call not in known_calls:
            known = nearest(str(call), known_calls)
            fact = f"{step.action}: there is no call {call!r} under actions.{section}"
            yield _error(step, f"{fact} in holdfast.yaml; {known}")


def _lists(step: RunbookStep, needs: Needs, able: Sequence[Service]) -> Iterator[Finding]:
    """Hold parameters against the allow-lists of the services that have the section."""
    if not able:
        return
    given = {name for name in needs.params if name in step.params}
    lists = {name: where for name, where in needs.params.items() if where is not None}
    for name in given & lists.keys():
        value = step.params[name]
        allowed = _allowed(able, lists[name])
        if isinstance(value, str) and _OPEN not in value and value not in allowed:
            section, key = lists[name]
            fact = f"{name} {value!r} is in no `control.{section}.{key}`"
            yield _error(step, f"{fact}; {nearest(value, allowed)}")
    if lists and not given & lists.keys() and not any(_obvious(s, lists.values()) for s in able):
        names = " or ".join(lists)
        yield _error(step, f"{step.action} has more than one to choose from; write {names}")


def _allowed(services: Sequence[Service], where: AllowList) -> list[str]:
    section, key = where
    found = (service.control.get(section, {}).get(key, ()) for service in services)
    return list(dict.fromkeys(item for items in found for item in items))


def _obvious(service: Service, lists: Iterable[AllowList]) -> bool:
    """Say whether a parameter may be left out at this service: there is one thing to choose."""
    choices = [service.control.get(section, {}).get(key, ()) for section, key in lists]
    return sum(len(each) for each in choices) == 1


def _error(step: RunbookStep, text: str) -> Finding:
    return _finding(Severity.ERROR, step, text)


def _warning(step: RunbookStep, text: str) -> Finding:
    return _finding(Severity.WARNING, step, text)


def _finding(severity: Severity, step: RunbookStep, text: str) -> Finding:
    words = f"step {step.title!r}: {text}"
    return Finding(severity=severity, line=step.line, text=words, rule="target")
