"""What holdfast.yaml says about the intake: how an alert's labels name a service of the catalogue.

The defaults fit what Prometheus, its operator and Grafana send; Alertmanager's own
default of repeating itself every 4 hours sets how long a word of it counts.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, StringConstraints

from holdfast.app.strict import Strict

IncidentType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$")]


class AlertmanagerModel(Strict):
    service_labels: list[Label] = Field(["service", "job", "app"], min_length=1)
    region_labels: list[Label] = ["region", "cluster", "datacenter"]
    services: dict[str, str] = {}
    types: dict[str, IncidentType] = {}
    ignore: list[str] = ["Watchdog", "InfoInhibitor"]
    stale_after_s: float = Field(14_700.0, ge=10, le=604_800)


class IntakeModel(Strict):
    """The `intake` section."""

    replica_labels: list[Label] = ["replica", "prometheus_replica", "__replica__"]
    alertmanager: AlertmanagerModel = AlertmanagerModel()

    def named(self) -> Iterator[tuple[list[int | str], str]]:
        """List the services of the catalogue that are named here, each with its field."""
        for label, service in self.alertmanager.services.items():
            yield ["intake", "alertmanager", "services", label], service
