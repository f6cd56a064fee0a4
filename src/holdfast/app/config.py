"""Reads holdfast.yaml and services.yaml, strictly.

Every error names the file, the line, the field's path, the value and what to write
instead. Nothing is guessed: an unknown key is an error, not a comment.
"""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.app.advice import bad_field, explain, nearest
from holdfast.app.keeping_models import unknown_in_scope
from holdfast.app.models import (
    CatalogueModel,
    ConfigModel,
    LimitModel,
    ServiceModel,
)
from holdfast.app.signals import read_signal
from holdfast.app.yaml_file import YamlFile, read_yaml
from holdfast.kernel.catalogue import (
    ALERT,
    NO_REGION,
    UP,
    Catalogue,
    Contact,
    Limit,
    Service,
    SignalForm,
)
from holdfast.policy import Limits

CONFIG_NAME = "holdfast.yaml"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
M = TypeVar("M", bound=BaseModel)
Field = Sequence[int | str]


def load_config(directory: Path) -> ConfigModel:
    """Read DIR/holdfast.yaml."""
    return _validated(ConfigModel, read_yaml(directory / CONFIG_NAME))


def load_limits(config: ConfigModel, directory: Path) -> Limits:
    """Read the policy limits; what is absent has its built-in value."""
    return Limits.from_mapping(config.limits, source=str(directory / CONFIG_NAME))


def load_catalogue(path: Path) -> Catalogue:
    """Read services.yaml and check that its names refer to each other."""
    file = read_yaml(path)
    model = _validated(CatalogueModel, file)
    services: dict[str, Service] = {}
    for index, each in enumerate(model.services):
        if each.name in services:
            text = f"is {each.name!r}, which is there already; give each service its own name"
            raise bad_field(file, ["services", index, "name"], text)
        _check_references(model, each, ["services", index], file)
        services[each.name] = _service(each, ["services", index], file)
    contacts = {
        key: Contact(id=key, name=c.name, role=c.role, page=tuple(c.page), members=tuple(c.members))
        for key, c in model.contacts.items()
    }
    return Catalogue(services=services, contacts=contacts)


def check_names(directory: Path, catalogue: Catalogue, runbooks: Collection[str]) -> None:
    """Check the names by which the two files and the runbooks refer to each other."""
    file = read_yaml(directory / CONFIG_NAME)
    config = _validated(ConfigModel, file)
    for index, grant in enumerate(config.autonomy):
        place: list[int | str] = ["autonomy", index]
        refer(file, [*place, "runbook"], grant.runbook, runbooks, "runbook here")
        refer(file, [*place, "service"], grant.service, catalogue.services, "service here")
    named = (*config.checks.services(), *config.changes.services(), *config.intake.named())
    for field, name in named:
        refer(file, field, name, catalogue.services, "service here")
    scoped = [("maintenance", index, each.scope) for index, each in enumerate(config.maintenance)]
    scoped += [("change_freezes", n, each.scope) for n, each in enumerate(config.change_freezes)]
    for section, index, scope in scoped:
        if problem := unknown_in_scope(scope, catalogue):
            text = f"is {scope!r}, which {problem}"
            raise bad_field(file, [section, index, "scope"], text)
    services = read_yaml(directory / config.catalogue)
    for index, service in enumerate(catalogue.services.values()):
        for name in service.runbooks:
            refer(services, ["services", index, "runbooks"], name, runbooks, "runbook here")
        if fence := service.control.get("failover", {}).get("fence"):
            place = ["services", index, "control", "failover", "fence"]
            refer(services, place, fence, config.actions.commands, "command of holdfast.yaml")
        if config.prometheus is None:
            _refuse_queries(service, ["services", index, "metrics"], services)


def _refuse_queries(service: Service, field: Field, file: YamlFile) -> None:
    """Refuse a query that nobody could answer."""
    for name, spec in service.signals.items():
        if spec.form is SignalForm.QUERY or spec.backfill is not None:
            text = f"needs an engine to ask; add `prometheus: {{url: ...}}` to {CONFIG_NAME}"
            raise bad_field(file, [*field, name], text)


def refer(file: YamlFile, field: Field, name: str, known: Collection[str], what: str) -> None:
    """Refuse a name that refers to nothing."""
    if name not in known:
        text = f"refers to {name!r}, which is no {what}; {nearest(name, known)}"
        raise bad_field(file, field, text)


def _validated(model: type[M], file: YamlFile) -> M:
    try:
        return model.model_validate(_expand(file.data, file, []))
    except ValidationError as error:
        raise explain(error, model, file) from None


def _expand(value: Any, file: YamlFile, field: list[int | str]) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, dict):
        return {key: _expand(item, file, [*field, key]) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, file, [*field, index]) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match.group(1), file, field), value)
    return value


def _variable(name: str, file: YamlFile, field: Field) -> str:
    if name not in os.environ:
        text = f"needs ${{{name}}}, which is not set in the environment; export {name} first"
        raise bad_field(file, field, text)
    return os.environ[name]


def _service(model: ServiceModel, field: Field, file: YamlFile) -> Service:
    regions = tuple(model.regions or model.scrape or model.health) or (NO_REGION,)
    return Service(
        name=model.name,
        depends_on=tuple(model.depends_on),
        owners=tuple(model.owners),
        on_call=model.on_call,
        regions=regions,
        mode=model.mode,
        repository=model.repository,
        runbooks=tuple(model.runbooks),
        scrape=dict(model.scrape),
        health=dict(model.health),
        signals={
            name: read_signal(signal, [*field, "metrics", name], file, regions)
            for name, signal in model.metrics.items()
        },
        limits=tuple(
            _limit(name, limit, [*field, "limits", name], file)
            for name, limit in model.limits.items()
        ),
        control=model.control.model_dump(exclude_none=True),
    )


def _limit(name: str, model: LimitModel, field: Field, file: YamlFile) -> Limit:
    bounds = (model.above, model.below, model.growth_per_minute_above)
    given = sum(bound is not None for bound in bounds)
    if given != 1:
        text = f"has {given} bounds; write exactly one of above, below, growth_per_minute_above"
        raise bad_field(file, field, text)
    return Limit(
        signal=name,
        above=model.above,
        below=model.below,
        growth_per_minute_above=model.growth_per_minute_above,
        for_samples=model.for_samples,
    )


def _check_references(
    model: CatalogueModel, service: ServiceModel, field: Field, file: YamlFile
) -> None:
    services = [each.name for each in model.services]
    regions = service.regions
    for name in service.depends_on:
        refer(file, [*field, "depends_on"], name, services, "service here")
    for name in service.owners:
        refer(file, [*field, "owners"], name, model.contacts, "contact here")
    if service.on_call:
        refer(file, [*field, "on_call"], service.on_call, model.contacts, "contact here")
    for name in service.limits:
        refer(file, [*field, "limits", name], name, service.metrics, "metric of this service")
    for kind, places in (("scrape", service.scrape), ("health", service.health)):
        for region in places:
            known = regions or list(service.scrape) or [region]
            refer(file, [*field, kind, region], region, known, "region of this service")
    for name, what in ((UP, "the reading whether the scrape worked"), (ALERT, "alerts")):
        if name in service.metrics:
            text = f"is the name of {what}; choose another name"
            raise bad_field(file, [*field, "metrics", name], text)
