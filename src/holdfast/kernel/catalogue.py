"""The service catalogue: what exists, what depends on what, who is responsible.

Nouns only; the file `services.yaml` is read and checked in `app`. An instance
is one service in one region, written `service@region`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

GOLDEN_SIGNALS = ("errors", "latency", "traffic", "saturation")
UP = "up"
# The signal of an alert that somebody else raised: it has no samples, only a last word.
ALERT = "alert"
NO_REGION = "global"


class SignalKey(NamedTuple):
    """Names one series: a signal of a service in a region."""

    service: str
    region: str
    signal: str

    def __str__(self) -> str:
        return f"{self.signal} of {self.service} in {self.region}"


class SignalForm(StrEnum):
    """How a signal is read: from a scrape, or by a query."""

    GAUGE = "gauge"
    RATE = "rate"
    RATIO = "ratio"
    MEAN = "mean"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSpec:
    """How to read one signal.

    `metrics` holds one name (two for a ratio), maybe with a filter, or the text of a query.
    `backfill` is a query for the past of what is scraped.
    """

    form: SignalForm
    metrics: tuple[str, ...]
    backfill: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A declared limit of a signal. Exactly one of the three bounds is set."""

    signal: str
    above: float | None = None
    below: float | None = None
    growth_per_minute_above: float | None = None
    for_samples: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to page, and how (`console`, `webhook`). `members`: the people who speak for it."""

    id: str
    name: str
    role: str = ""
    page: tuple[str, ...] = ("console",)
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One entry of the catalogue."""

    name: str
    depends_on: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    on_call: str | None = None
    regions: tuple[str, ...] = (NO_REGION,)
    mode: str | None = None
    repository: str | None = None
    runbooks: tuple[str, ...] = ()
    scrape: Mapping[str, str] = field(default_factory=dict)
    health: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, SignalSpec] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    control: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def scraped(self) -> Mapping[str, SignalSpec]:
        """Give the signals that are read from a scrape."""
        return {
            name: spec for name, spec in self.signals.items() if spec.form is not SignalForm.QUERY
        }

    def series(self) -> tuple[SignalKey, ...]:
        """List the series of this service, by region: its signals, and `up` where it is scraped.

        A region that is only asked about has no `up`: that an engine answers says nothing of it.
        """
        queries = [name for name in self.signals if name not in self.scraped]
        unscraped = [region for region in self.regions if region not in self.scrape]
        return (
            *(
                SignalKey(self.name, region, signal)
                for region in self.scrape
                for signal in (*self.signals, UP)
            ),
            *(SignalKey(self.name, region, name) for region in unscraped for name in queries),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All services by name, in the order of the file, and the contacts."""

    services: Mapping[str, Service]
    contacts: Mapping[str, Contact] = field(default_factory=dict)

    def series(self) -> tuple[SignalKey, ...]:
        """List every series, in a stable order."""
        return tuple(key for service in self.services.values() for key in service.series())

    def dependencies(self, name: str) -> tuple[str, ...]:
        """List what `name` depends on, nearest first, each once."""
        return _walk(name, lambda n: self.services[n].depends_on if n in self.services else ())

    def dependents(self, name: str) -> tuple[str, ...]:
        """List what depends on `name`, nearest first, each once."""
        return _walk(name, self._direct_dependents)

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Split the catalogue into its connected groups."""
        near: dict[str, list[str]] = {name: [] for name in self.services}
        for name in self.services:
            for other in self._direct_dependencies(name):
                near[name].append(other)
                near[other].append(name)
        groups, placed = [], set[str]()
        for name in self.services:
            if name not in placed:
                group = {name, *_walk(name, near.__getitem__)}
                placed |= group
                groups.append(tuple(sorted(group)))
        return tuple(sorted(groups))

    def _direct_dependencies(self, name: str) -> tuple[str, ...]:
        return tuple(n for n in self.services[name].depends_on if n in self.services)

    def _direct_dependents(self, name: str) -> tuple[str, ...]:
        return tuple(s.name for s in self.services.values() if name in s.depends_on)


def _walk(start: str, step: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    queue: list[str] = list(step(start))
    while queue:
        name = queue.pop(0)
        if name != start and name not in seen:
            seen[name] = None
            queue.extend(step(name))
    return tuple(seen)


def instance_name(service: str, region: str) -> str:
    """Write an instance: `service@region`, or the service alone where there is one place only."""
    return service if region == NO_REGION else f"{service}@{region}"


def split_instance(target: str) -> tuple[str, str | None]:
    """Split `service@region` into its parts; the region is None where the target names none."""
    service, _, region = target.partition("@")
    return service, region or None


def regions_of(services: Iterable[Service]) -> tuple[str, ...]:
    """List every region of these services once, sorted."""
    return tuple(sorted({region for service in services for region in service.regions}))
