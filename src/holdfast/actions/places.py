"""Finds how an action reaches its target, and says what certainly was not done.

A target that the catalogue does not put under an action's control is bad input, found before
anything is sent. After that point nothing here is used: an error in the middle of an act says
nothing about its effect, and must never be read as "nothing happened".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from holdfast.kernel.catalogue import Catalogue, Service, split_instance
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import ActionOutcome, Effect, TargetUnreachableError


def controlled(
    catalogue: Catalogue, action: str, target: str, section: str
) -> tuple[Service, Mapping[str, Any]]:
    """Find a whole service and its `control.SECTION`. Raises BadInputError where it has none."""
    service = catalogue.services.get(target)
    if service is None:
        hint = ""
        if "@" in target:
            hint = "; it acts on the whole service, so name the service without @region"
        raise BadInputError(
            f"{action}: the catalogue has no service {target!r}{hint}", field="target"
        )
    control = service.control.get(section)
    if not control:
        raise BadInputError(
            f"{action}: {target} has no control.{section}; add it to {target} in services.yaml",
            field="target",
        )
    return service, control


def known_target(catalogue: Catalogue, action: str, target: str) -> tuple[Service, str | None]:
    """Find the service of `service` or `service@region`. Raises BadInputError."""
    name, region = split_instance(target)
    service = catalogue.services.get(name)
    if service is None:
        raise BadInputError(
            f"{action}: the catalogue has no service {name!r}; name one of services.yaml",
            field="target",
        )
    if region is not None and region not in service.regions:
        raise BadInputError(
            f"{action}: {name} does not run in {region!r}; it runs in {', '.join(service.regions)}",
            field="target",
        )
    return service, region


def regional(
    catalogue: Catalogue, action: str, target: str, section: str
) -> tuple[Service, tuple[str, ...], Mapping[str, Any]]:
    """Find the `control.SECTION` of a target and the regions that it stands for."""
    service, region = known_target(catalogue, action, target)
    control = service.control.get(section)
    if not control:
        raise BadInputError(
            f"{action}: {service.name} has no control.{section}; add it to {service.name} in"
            " services.yaml",
            field="target",
        )
    return service, (region,) if region else service.regions, control


def one_region(action: str, service: Service, target: str) -> str:
    """Say which region a target means, where one is acted on at a time. Raises BadInputError."""
    _, region = split_instance(target)
    if region is None and len(service.regions) == 1:
        return service.regions[0]
    runs_in = ", ".join(service.regions)
    if region is None:
        raise BadInputError(
            f"{action}: {target} runs in {runs_in}; act on one at a time, as"
            f" {service.name}@{service.regions[0]}",
            field="target",
        )
    if region not in service.regions:
        raise BadInputError(
            f"{action}: {service.name} does not run in {region!r}; it runs in {runs_in}",
            field="target",
        )
    return region


def filled(text: str, service: Service, region: str) -> str:
    """Fill `{service}` and `{region}` into a name of the configuration."""
    return text.replace("{region}", region).replace("{service}", service.name)


def only(action: str, params: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise BadInputError for a parameter that the action does not have."""
    if unknown := sorted(set(params) - set(known)):
        words = f"known: {', '.join(known)}" if known else "it takes none"
        raise BadInputError(
            f"{action} has no parameter {unknown[0]!r}; {words}", field=f"params.{unknown[0]}"
        )


def chosen(action: str, name: str, params: Mapping[str, Any], allowed: list[str]) -> str:
    """Take the parameter `name` from an allow-list; it may be left out where there is one only."""
    value = params.get(name, allowed[0] if len(allowed) == 1 else None)
    if not isinstance(value, str) or value not in allowed:
        raise BadInputError(
            f"{action}: {name} is {value!r}, which is not in the allow-list of this service;"
            f" allowed: {', '.join(allowed)}",
            field=f"params.{name}",
        )
    return value


@contextmanager
def before_acting() -> Iterator[None]:
    """Turn bad input into "certainly no effect": only for what comes before the first byte out."""
    try:
        yield
    except BadInputError as error:
        raise TargetUnreachableError(f"nothing was sent: {error.message}") from error


def incident_of(key: str) -> str:
    """Name the incident of a key. Fences count up within an incident, so tokens are kept by it."""
    return key.partition("/")[0]


def refused(category: str, text: str) -> ActionOutcome:
    """Answer that this call changed nothing."""
    return ActionOutcome(
        ok=False, effect=Effect.ABSENT, summary=text, return_code=1, error_category=category
    )


def done(text: str) -> ActionOutcome:
    """Answer that the effect is there, by this call or by an earlier one with its key."""
    return ActionOutcome(ok=True, effect=Effect.PRESENT, summary=text, return_code=0)
