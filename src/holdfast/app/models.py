"""What holdfast.yaml and services.yaml may hold, field by field, with the defaults.

Strict: nothing is coerced and an unknown key is an error. What refers to something else is
checked in `config` and `installation`.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from holdfast.app.check_models import ChangesModel, ChecksModel
from holdfast.app.control_models import ActionsModel, ControlModel
from holdfast.app.intake_models import IntakeModel
from holdfast.app.keeping_models import (
    ChangeFreezeModel,
    DeadManModel,
    MaintenanceModel,
    ReportModel,
)
from holdfast.app.source_models import PrometheusModel
from holdfast.app.strict import NAME, Dsn, Http, Strict
from holdfast.kernel.actor import SYSTEM

LISTEN = r"^(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):\d{1,5}$"
ModeName = Literal["observe", "guided", "supervised", "autonomous"]


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
    reopen_window_s: float = Field(600.0, ge=0, le=86_400)
    reopenings_per_hour: int = Field(3, ge=1, le=60)

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


class DeploymentsModel(Strict):
    dsn: Dsn
    table: str = Field("deployments", pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$")


class VerificationModel(Strict):
    sustain_s: float = Field(60.0, gt=0)


class EscalationModel(Strict):
    ack_timeout_s: float = Field(300.0, gt=0)
    handoff_timeout_s: float | None = Field(None, gt=0, le=86_400)
    commander_silent_s: float = Field(600.0, gt=0, le=86_400)

    @property
    def handoff_s(self) -> float:
        """Say how long a handoff may stand unaccepted."""
        return self.ack_timeout_s if self.handoff_timeout_s is None else self.handoff_timeout_s


class BoundaryModel(Strict):
    """What belongs to somebody: their word is needed, whoever asks and in every mode."""

    action: str = Field(min_length=1)
    target: str = Field(min_length=1)
    authority: str = Field(min_length=1)
    why: str = ""


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
    changes: ChangesModel = ChangesModel()
    prometheus: PrometheusModel | None = None
    deployments: DeploymentsModel | None = None
    actions: ActionsModel = ActionsModel()
    limits: dict[str, Any] = {}
    verification: VerificationModel = VerificationModel()
    escalation: EscalationModel = EscalationModel()
    notify: NotifyModel = NotifyModel()
    heads: HeadsModel = HeadsModel()
    audit: AuditModel = AuditModel()
    intake: IntakeModel = IntakeModel()
    maintenance: list[MaintenanceModel] = []
    boundaries: list[BoundaryModel] = []
    change_freezes: list[ChangeFreezeModel] = []
    dead_man: DeadManModel | None = None
    report: ReportModel = ReportModel()

    @model_validator(mode="after")
    def _report_can_be_sent(self) -> Self:
        if self.report.webhook and self.notify.webhook is None:
            raise ValueError("report.webhook is true, and notify.webhook is not set; set it")
        return self


class LimitModel(Strict):
    above: float | None = None
    below: float | None = None
    growth_per_minute_above: float | None = None
    for_samples: int = Field(3, ge=1, le=1440)


class SignalModel(Strict):
    gauge: str | None = None
    rate: str | None = None
    mean: str | None = None
    ratio: list[str] | None = Field(None, min_length=2, max_length=2)
    query: str | None = Field(None, min_length=1)
    backfill: str | None = Field(None, min_length=1)


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
    members: list[str] = []


class CatalogueModel(Strict):
    """services.yaml, field by field."""

    services: list[ServiceModel] = []
    contacts: dict[str, ContactModel] = {}

    @field_validator("contacts")
    @classmethod
    def _nobody_is_the_system(cls, found: dict[str, ContactModel]) -> dict[str, ContactModel]:
        if SYSTEM.id in found:
            raise ValueError(f"{SYSTEM.id!r} is Holdfast's own name; name the contact otherwise")
        return found
