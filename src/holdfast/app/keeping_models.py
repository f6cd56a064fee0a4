"""What holdfast.yaml says about keeping watch: recurring maintenance, change freezes, the
dead-man's switch, the daily report.

Times of day are by the clocks of a named place, so that a window moves with summer time.
"""

import re
from datetime import UTC, datetime, time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from holdfast.app.advice import nearest
from holdfast.app.strict import Http, Strict
from holdfast.kernel.catalogue import Catalogue, split_instance
from holdfast.policy import DAYS, Weekly, Window

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# Any other year is a slip, and some of them no zone can be applied to.
_YEARS = range(2000, 3000)
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


def _check_moment(value: object) -> str:
    if not isinstance(value, str) or not (_CLOCK.fullmatch(value) or _dated(value)):
        raise ValueError(
            f'{value!r} is no moment; write "2026-12-18 18:00", or "HH:MM" for one of each week, '
            "in quotes"
        )
    return value


def _dated(text: str) -> datetime | None:
    """Read a day with a time of day; a day alone could be meant with or without its end."""
    try:
        at = datetime.fromisoformat(text) if ":" in text else None
    except ValueError:
        return None
    return at if at is not None and at.year in _YEARS else None


ClockTime = Annotated[str, BeforeValidator(_check_clock)]
Moment = Annotated[str, BeforeValidator(_check_moment)]
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


class ChangeFreezeModel(Strict):
    scope: str = Field(min_length=1)
    since: Moment = Field(alias="from")
    until: Moment
    days: list[Day] = []
    zone: Zone = "UTC"
    because: str = Field(min_length=1)
    by: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        weekly = [bool(_CLOCK.fullmatch(text)) for text in (self.since, self.until)]
        if weekly[0] is not weekly[1]:
            raise ValueError(
                f"from is {self.since} and until is {self.until}; write both as dates, or both as "
                '"HH:MM" for a freeze that comes back every week'
            )
        if self.days and not self.weekly:
            raise ValueError('days are for a weekly freeze; write from and until as "HH:MM"')
        if self.weekly and self.since == self.until:
            raise ValueError(f"it would never end: from and until are both {self.since}")
        if not self.weekly and self.span[0] >= self.span[1]:
            raise ValueError(f"until ({self.until}) is not after from ({self.since})")
        return self

    @property
    def weekly(self) -> bool:
        """Say whether it comes back every week; else it is from one date to another."""
        return bool(_CLOCK.fullmatch(self.since))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Give a dated freeze's start and end; of an hour that clocks show twice, rather more."""
        return min(self._moments(self.since)), max(self._moments(self.until))

    def _moments(self, text: str) -> list[datetime]:
        at = datetime.fromisoformat(text)
        local = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(self.zone))
        return [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]


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


def change_freezes(configured: list[ChangeFreezeModel]) -> tuple[Window | Weekly, ...]:
    """Make the change freezes; each is named after its place in the file, from 1 on."""
    return tuple(_frozen(f"freeze-{n}", each) for n, each in enumerate(configured, start=1))


def _frozen(name: str, each: ChangeFreezeModel) -> Window | Weekly:
    if each.weekly:
        return Weekly(
            name=name,
            scope=each.scope,
            days=frozenset(each.days or DAYS),
            since=time.fromisoformat(each.since),
            until=time.fromisoformat(each.until),
            zone=ZoneInfo(each.zone),
            why=each.because,
            by=each.by,
        )
    starts_at, ends_at = each.span
    return Window(
        window_id=name,
        scope=each.scope,
        starts_at=starts_at,
        ends_at=ends_at,
        by=each.by,
        why=each.because,
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
