"""What holdfast.yaml and services.yaml may hold, field by field, with the defaults.

Strict: nothing is coerced and an unknown key is an error. What refers to something else is
checked in `config` and `installation`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from holdfast.actions.clear_cache import check_prefix
from holdfast.app.addresses import check_dsn, check_http, check_url

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
LISTEN = r"^(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):\d{1,5}$"
Http = Annotated[str, AfterValidator(check_http)]
Url = Annotated[str, AfterValidator(check_url)]
Dsn = Annotated[str, AfterValidator(check_dsn)]
Prefix = Annotated[str, AfterValidator(check_prefix)]
ModeName = Literal["observe", "guided", "supervised", "autonomous"]


class Strict(BaseModel):
    """Refuses what it does not know, and numbers that are none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class CompositeModel(Strict):
    critical: int = Field(2, ge=1)
    anomalies: int = Field(3, ge=1)
    ticks: int = Field(3, ge=1, le=60)


class DetectionModel(Strict):
    detector: Literal["zscore"] = "zscore"
    window: int = Field(60, ge=10, le=1440)
    min_samples: int = Field(30, ge=5)
    anomaly_sigma: float = Field(3.0, gt=0)
    critical_sigma: float = Field(4.0, gt=0)
    composite: CompositeModel = CompositeModel()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_samples > self.window:
            raise ValueError(
                f"min_samples is {self.min_samples} and the window {self.window}; "
                "set min_samples to the window or less"
            )
        if self.anomaly_sigma >= self.critical_sigma:
            raise ValueError(
                f"anomaly_sigma is {self.anomaly_sigma:g} and critical_sigma "
                f"{self.critical_sigma:g}; set critical_sigma above anomaly_sigma"
            )
        return self


class GrantModel(Strict):
    runbook: str
    service: str
    granted_by: str
    because: str


class DatabaseModel(Strict):
    dsn: Dsn
    service: str | None = None


class CacheModel(Strict):
    url: Url
    service: str | None = None


class DiskModel(Strict):
    paths: list[str]


class ChecksModel(Strict):
    timeout_s: float = Field(10.0, gt=0, le=60)
    database: DatabaseModel | None = None
    cache: CacheModel | None = None
    disk: DiskModel | None = None


class DeploymentsModel(Strict):
    dsn: Dsn
    table: str = Field("deployments", pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$")


class VerificationModel(Strict):
    sustain_s: float = Field(60.0, gt=0)


class EscalationModel(Strict):
    ack_timeout_s: float = Field(300.0, gt=0)


class NotifyModel(Strict):
    webhook: Http | None = None


class ExportModel(Strict):
    file: str | None = Field(None, min_length=1)
    webhook: Http | None = None
    object_store: Http | None = None
    token: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(place is not None for place in (self.file, self.webhook, self.object_store)) != 1:
            raise ValueError("write exactly one of file, webhook, object_store in each entry")
        if self.token is not None and self.file is not None:
            raise ValueError("a file needs no token; leave it out")
        return self


class HeadsModel(Strict):
    every_s: float = Field(60.0, ge=0.1, le=86_400)
    export: list[ExportModel] = []


class AuditModel(Strict):
    retention_days: float = Field(90.0, gt=0, le=36_500)


class ConfigModel(Strict):
    """holdfast.yaml, field by field."""

    mode: ModeName = "observe"
    listen: str = Field("127.0.0.1:8321", pattern=LISTEN)
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
    heads: HeadsModel = HeadsModel()
    audit: AuditModel = AuditModel()


class LimitModel(Strict):
    above: float | None = None
    below: float | None = None
    growth_per_minute_above: float | None = None
    for_samples: int = Field(3, ge=1, le=1440)


class SupervisordModel(Strict):
    socket: str = Field(min_length=1)
    process: str = "{service}"
    wrapper: bool = False


class ReleaseModel(Strict):
    directory: str = Field(min_length=1)
    history: str | None = None


class FlagsModel(Strict):
    file: str = Field(min_length=1)
    allowed: list[str] = Field(min_length=1)


class CacheControlModel(Strict):
    url: Url
    prefixes: list[Prefix] = Field(min_length=1)
    page: int = Field(500, ge=1, le=10_000)


class QueueModel(Strict):
    url: Url
    lists: list[str] = Field(min_length=1)
    oldest: Literal["right", "left"] = "right"
    max: int = Field(100_000, ge=1)
    page: int = Field(500, ge=1, le=10_000)


class ServerModel(Strict):
    dsn: Dsn


class FailoverModel(Strict):
    primary: ServerModel
    standby: ServerModel


class ControlModel(Strict):
    supervisord: SupervisordModel | None = None
    release: ReleaseModel | None = None
    flags: FlagsModel | None = None
    cache: CacheControlModel | None = None
    queue: QueueModel | None = None
    failover: FailoverModel | None = None


class SignalModel(Strict):
    gauge: str | None = None
    rate: str | None = None
    mean: str | None = None
    ratio: list[str] | None = Field(None, min_length=2, max_length=2)


class ServiceModel(Strict):
    name: str = Field(pattern=NAME)
    depends_on: list[str] = []
    owners: list[str] = []
    on_call: str | None = None
    regions: list[str] = []
    mode: ModeName | None = None
    repository: str | None = None
    runbooks: list[str] = []
    scrape: dict[str, Http] = {}
    health: dict[str, Http] = {}
    metrics: dict[str, SignalModel] = {}
    limits: dict[str, LimitModel] = {}
    control: ControlModel = ControlModel()


class ContactModel(Strict):
    name: str
    role: str = ""
    page: list[Literal["console", "webhook"]] = ["console"]


class CatalogueModel(Strict):
    """services.yaml, field by field."""

    services: list[ServiceModel] = []
    contacts: dict[str, ContactModel] = {}
