"""Chooses how one action reaches its target: by the section under `control` that the service has.

This is the one place for that choice. A service with two of the sections is refused, because
nobody said which control plane is the true one. What was seen through one section is never acted
on through another: the pre-image says which it was.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.actions.places import before_acting, refused
from holdfast.kernel.catalogue import Catalogue, Service, split_instance
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    Action,
    ActionOutcome,
    ActionRequest,
    Effect,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

SEEN_BY = "control"


class BySection:
    """One action by several control planes. `ways` maps a section to what acts through it.

    A section may be dotted: `flags.unleash` is the key `unleash` of the section `flags`. The first
    way answers for a service that has none of them.
    """

    def __init__(self, catalogue: Catalogue, ways: Mapping[str, Action]) -> None:
        self._catalogue = catalogue
        self._ways = ways

    @property
    def name(self) -> str:
        return next(iter(self._ways.values())).name

    @property
    def repeatability(self) -> Repeatability:
        """Say the best that any service here has; the pre-image says what its target has."""
        used = [self._ways[section].repeatability for section in self._used()]
        return min(used or [self._first.repeatability], key=list(Repeatability).index)

    @property
    def least_impact(self) -> str:
        return "high" if any(w.least_impact == "high" for w in self._ways.values()) else "low"

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        section = self._section(target)
        if section is None:
            return self._observe_with_none(target, params)
        way = self._ways[section]
        declared = {"repeatability": way.repeatability.value}
        return {**declared, **way.observe(target, params), SEEN_BY: section}

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            section = self._section(request.target)
        if why := _exchanged(request, section):
            raise TargetUnreachableError(f"nothing was sent: {why}")
        return self._way(section).perform(request)

    def probe(self, request: ActionRequest) -> ProbeResult:
        section = self._section(request.target)
        if why := _exchanged(request, section):
            return ProbeResult(effect=Effect.UNKNOWN, evidence=why)
        return self._way(section).probe(request)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        section = self._section(request.target)
        if why := _exchanged(request, section):
            return refused("changed_since", why)
        return self._way(section).undo(request)

    @property
    def _first(self) -> Action:
        return next(iter(self._ways.values()))

    def _way(self, section: str | None) -> Action:
        return self._first if section is None else self._ways[section]

    def _used(self) -> Iterator[str]:
        services = self._catalogue.services.values()
        return (each for each in self._ways if any(_has(service, each) for service in services))

    def _section(self, target: str) -> str | None:
        """Find the section of a target; None where it has none, or is no service of ours."""
        service = self._catalogue.services.get(split_instance(target)[0])
        found = [section for section in self._ways if service and _has(service, section)]
        if len(found) > 1:
            named = " and ".join(f"control.{section}" for section in found)
            raise BadInputError(
                f"{self.name}: {target} has {named}, so it can't be told which of them to act"
                " through; keep one in services.yaml",
                field="target",
            )
        return found[0] if found else None

    def _observe_with_none(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let the first way say what it misses, and add what would do as well."""
        try:
            return self._first.observe(target, params)
        except BadInputError as error:
            others = [f"control.{section}" for section in list(self._ways)[1:]]
            known = split_instance(target)[0] in self._catalogue.services
            if error.field != "target" or not known or not others:
                raise
            text = f"{error.message}; {' or '.join(others)} would do as well"
            raise BadInputError(text, field="target") from None


def _has(service: Service, section: str) -> bool:
    outer, _, inner = section.partition(".")
    found = service.control.get(outer)
    return bool(found and (not inner or found.get(inner)))


def _exchanged(request: ActionRequest, section: str | None) -> str | None:
    """Say why what was seen can't be acted on: it was seen through another section."""
    before = request.pre_image.get(SEEN_BY)
    if before is None or before == section:
        return None
    return (
        f"{request.target} was seen through control.{before} when this step was intended, and"
        f" services.yaml says {f'control.{section}' if section else 'something else'} now"
    )
