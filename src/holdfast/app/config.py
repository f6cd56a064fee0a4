"""Reads holdfast.yaml and services.yaml, strictly.

Every error names the file, the field's path, the value and what to write
instead. Nothing is guessed: an unknown key is an error, not a comment.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from holdfast.kernel.catalogue import (
    NO_REGION,
    Catalogue,
    Contact,
    Limit,
    Service,
    SignalSpec,
)
from holdfast.kernel.catalogue import SignalForm as Form
from holdfast.kernel.errors import BadInputError
from holdfast.policy import Limits

CONFIG_NAME = "holdfast.yaml"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
M = TypeVar("M", bound=BaseModel)
ModeName = Literal["observe", "guided", "supervised", "autonomous"]
_SIZE_MAX = 5_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CompositeModel(_Strict):
    critical: int = Field(2, ge=1)
    anomalies: int = Field(3, ge=1)
    ticks: int = Field(3, ge=1, le=60)


class DetectionModel(_Strict):
    detector: Literal["zscore"] = "zscore"
    window: int = Field(60, ge=10, le=1440)
    min_samples: int = Field(30, ge=5)
    anomaly_sigma: float = Field(3.0, gt=0)
    critical_sigma: float = Field(4.0, gt=0)
    composite: CompositeModel = CompositeModel()


class GrantModel(_Strict):
    runbook: str
    service: str
    granted_by: str
    because: str


class DatabaseModel(_Strict):
    dsn: str
    service: str | None = None


class CacheModel(_Strict):
    url: str
    service: str | None = None


class DiskModel(_Strict):
    paths: list[str]


class ChecksModel(_Strict):
    timeout_s: float = Field(10.0, gt=0, le=60)
    database: DatabaseModel | None = None
    cache: CacheModel | None = None
    disk: DiskModel | None = None


class DeploymentsModel(_Strict):
    dsn: str
    table: str = Field("deployments", pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$")


class VerificationModel(_Strict):
    sustain_s: float = Field(60.0, gt=0)


class EscalationModel(_Strict):
    ack_timeout_s: float = Field(300.0, gt=0)


class NotifyModel(_Strict):
    webhook: str | None = None


class ConfigModel(_Strict):
    """holdfast.yaml, field by field."""

    mode: ModeName = "observe"
    listen: str = Field("127.0.0.1:8321", pattern=r"^[^:\s]+:\d{1,5}$")
    sampling_interval_s: float = Field(60.0, ge=0.2, le=3600)
    catalogue: str = "services.yaml"
    runbooks: str = "runbooks"
    lease_s: float = Field(30.0, ge=1, le=600)
    cooldown_s: float = Field(30.0, ge=0)
    approval_ttl_s: float = Field(900.0, gt=0)
    detection: DetectionModel = DetectionModel()
    autonomy: list[GrantModel] = []
    checks: ChecksModel = ChecksModel()
    deployments: DeploymentsModel | None = None
    limits: dict[str, Any] = {}
    verification: VerificationModel = VerificationModel()
    escalation: EscalationModel = EscalationModel()
    notify: NotifyModel = NotifyModel()


class LimitModel(_Strict):
    above: float | None = None
    below: float | None = None
    growth_per_minute_above: float | None = None
    for_samples: int = Field(3, ge=1, le=1440)


class SignalModel(_Strict):
    gauge: str | None = None
    rate: str | None = None
    mean: str | None = None
    ratio: list[str] | None = Field(None, min_length=2, max_length=2)


class ServiceModel(_Strict):
    name: str = Field(pattern=_NAME)
    depends_on: list[str] = []
    owners: list[str] = []
    on_call: str | None = None
    regions: list[str] = []
    mode: ModeName | None = None
    repository: str | None = None
    runbooks: list[str] = []
    scrape: dict[str, str] = {}
    health: dict[str, str] = {}
    metrics: dict[str, SignalModel] = {}
    limits: dict[str, LimitModel] = {}
    control: dict[str, dict[str, Any]] = {}

    @field_validator("scrape", "health")
    @classmethod
    def _http_only(cls, urls: dict[str, str]) -> dict[str, str]:
        for region, url in urls.items():
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{region}: {url!r} is no http(s) URL")
        return urls


class ContactModel(_Strict):
    name: str
    role: str = ""
    page: list[Literal["console", "webhook"]] = ["console"]


class CatalogueModel(_Strict):
    """services.yaml, field by field."""

    services: list[ServiceModel] = []
    contacts: dict[str, ContactModel] = {}


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that is written twice: the second would silently win."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - any YAML document
    """Read one YAML file. Raises BadInputError with the file, line and next step."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"can't read {path}: {error.strerror}; run `holdfast init {path.parent}` or give --dir"
        ) from None
    if len(raw) > _SIZE_MAX:
        raise BadInputError(
            f"{path} has {len(raw)} bytes, more than {_SIZE_MAX}; it is no such file"
        )
    try:
        # The loader is a SafeLoader; it only adds the check for doubled keys.
        return yaml.load(raw.decode(), Loader=_UniqueKeyLoader)  # noqa: S506
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        raise BadInputError(
            f"{path}{_mark(error)}: {_problem(error)}; mend the YAML there"
        ) from None


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    return getattr(error, "problem", None) or "this is not YAML"


def load_config(directory: Path) -> ConfigModel:
    """Read DIR/holdfast.yaml."""
    path = directory / CONFIG_NAME
    return _validated(ConfigModel, read_yaml(path), path)


def load_catalogue(path: Path) -> Catalogue:
    """Read services.yaml and check that its names refer to each other."""
    model = _validated(CatalogueModel, read_yaml(path), path)
    services = {s.name: _service(s, path, i) for i, s in enumerate(model.services)}
    if len(services) != len(model.services):
        names = [s.name for s in model.services]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInputError(f"{path}: services has {twice!r} twice; give each its own name")
    contacts = {
        key: Contact(id=key, name=c.name, role=c.role, page=tuple(c.page))
        for key, c in model.contacts.items()
    }
    _check_references(model, services, contacts, path)
    return Catalogue(services=services, contacts=contacts)


def load_limits(config: ConfigModel, directory: Path) -> Limits:
    """Read the policy limits; what is absent has its built-in value."""
    return Limits.from_mapping(config.limits, source=str(directory / CONFIG_NAME))


def _validated(model: type[M], data: object, path: Path) -> M:
    try:
        return model.model_validate(_expand({} if data is None else data, path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(the whole file)"
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise BadInputError(
            f"{path}: {field} is {_shown(first.get('input'))}: {first['msg']}; "
            f"see `holdfast init` for a commented example{more}",
            field=field,
        ) from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 - one line of a terminal


def _expand(value: Any, path: Path) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match.group(1), path), value)
    return value


def _variable(name: str, path: Path) -> str:
    if name not in os.environ:
        raise BadInputError(
            f"{path}: ${{{name}}} is not set in the environment; export {name} first"
        )
    return os.environ[name]


def _service(model: ServiceModel, path: Path, index: int) -> Service:
    regions = tuple(model.regions) or tuple(model.scrape) or (NO_REGION,)
    where = f"services.{index}"
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
            name: _signal(signal, path, f"{where}.metrics.{name}")
            for name, signal in model.metrics.items()
        },
        limits=tuple(
            _limit(name, limit, path, f"{where}.limits.{name}")
            for name, limit in model.limits.items()
        ),
        control=model.control,
    )


def _signal(model: SignalModel, path: Path, where: str) -> SignalSpec:
    given = {name: value for name, value in model.model_dump().items() if value is not None}
    if len(given) != 1:
        raise BadInputError(
            f"{path}: {where} names {len(given)} ways to read it; write exactly one of gauge, "
            "rate, mean, ratio",
            field=where,
        )
    [(form, value)] = given.items()
    metrics = tuple(value) if isinstance(value, list) else (value,)
    return SignalSpec(form=Form(form), metrics=metrics)


def _limit(name: str, model: LimitModel, path: Path, where: str) -> Limit:
    bounds = (model.above, model.below, model.growth_per_minute_above)
    if sum(bound is not None for bound in bounds) != 1:
        raise BadInputError(
            f"{path}: {where} must have exactly one of above, below, growth_per_minute_above",
            field=where,
        )
    return Limit(
        signal=name,
        above=model.above,
        below=model.below,
        growth_per_minute_above=model.growth_per_minute_above,
        for_samples=model.for_samples,
    )


def _check_references(
    model: CatalogueModel,
    services: dict[str, Service],
    contacts: dict[str, Contact],
    path: Path,
) -> None:
    for index, service in enumerate(model.services):
        for name in service.depends_on:
            _refer(name, services, path, f"services.{index}.depends_on", "a service")
        for name in (*service.owners, *([service.on_call] if service.on_call else [])):
            _refer(name, contacts, path, f"services.{index}.owners", "a contact")
        for name in service.limits:
            _refer(name, service.metrics, path, f"services.{index}.limits", "a metric")
        for region in (*service.scrape, *service.health):
            known = service.regions or [region]
            _refer(region, dict.fromkeys(known), path, f"services.{index}.regions", "a region")


def _refer(name: str, known: Any, path: Path, where: str, what: str) -> None:  # noqa: ANN401
    if name not in known:
        names = ", ".join(map(str, known)) or "none"
        raise BadInputError(
            f"{path}: {where} refers to {name!r}, which is not {what} here; known are {names}",
            field=where,
        )
