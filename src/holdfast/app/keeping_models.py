"""What holdfast.yaml says about keeping watch: recurring maintenance, the dead-man's switch, the
daily report.

Times of day are by the clocks of a named place, so that a window moves with summer time.
"""

import re
from datetime import time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from holdfast.app.advice import nearest
from holdfast.app.strict import Http, Strict
from holdfast.kernel.catalogue import Catalogue, split_instance
from holdfast.policy import DAYS, Weekly

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _check_clock(value: object) -> str:
    # 1230 is a number to YAML, and who knows which one was meant.
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError(f'{value!r} is no time of day; write "HH:MM", in quotes')
    return value


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(
            f"the time zone {name!r} is not known here; write one such as Europe/Berlin or UTC"
        ) from None
    return name


ClockTime = Annotated[str, BeforeValidator(_check_clock)]
Zone = Annotated[str, AfterValidator(_check_zone)]


class MaintenanceModel(Strict):
    scope: str = Field(min_length=1)
    days: list[Day] = []
    since: ClockTime = Field(alias="from")
    until: ClockTime = Field(alias="to")
    zone: Zone = "UTC"
    because: str = "every week"

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.since == self.until:
            raise ValueError(f"it would never end: from and to are both {self.since}")
        return self


class DeadManModel(Strict):
    url: Http
    method: Literal["GET", "POST"] = "GET"
    every_s: float = Field(60.0, ge=0.1, le=86_400)
    timeout_s: float = Field(5.0, gt=0, le=60)


class ReportModel(Strict):
    daily: bool | None = None
    daily_at: ClockTime = "07:00"
    zone: Zone = "UTC"
    webhook: bool = False


def weekly_windows(configured: list[MaintenanceModel]) -> tuple[Weekly, ...]:
    """Make the recurring windows; each is named after its place in the file, from 1 on."""
    return tuple(
        Weekly(
            name=f"weekly-{number}",
            scope=each.scope,
            days=frozenset(each.days or DAYS),
            since=time.fromisoformat(each.since),
            until=time.fromisoformat(each.until),
            zone=ZoneInfo(each.zone),
            why=each.because,
        )
        for number, each in enumerate(configured, start=1)
    )


def unknown_in_scope(scope: str, catalogue: Catalogue) -> str | None:
    """Say what is wrong with a window's scope; None where it names something of the catalogue."""
    if scope == "all":
        return None
    services = catalogue.services
    regions = {region for service in services.values() for region in service.regions}
    kind, found, name = scope.partition(":")
    if found and kind == "region":
        return None if name in regions else f"names no region here; {nearest(name, regions)}"
    service, region = split_instance(scope)
    if service not in services:
        return (
            f"names no service here; {nearest(service, services)} (or write all, SERVICE@REGION, "
            "region:NAME)"
        )
    if region is not None and region not in services[service].regions:
        return f"names no region of {service}; {nearest(region, services[service].regions)}"
    return None
