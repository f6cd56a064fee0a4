"""What opens an incident, as plain data: the first record is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningFacts:
    """What opens an incident, as plain data."""

    title: str
    severity: str
    services: tuple[str, ...]
    group: tuple[str, ...]
    regions: tuple[str, ...]
    signals: tuple[Mapping[str, Any], ...]
    baselines: Mapping[str, Mapping[str, Any]]
    started_at: str
    opened_by: str
    why: str
    reasons: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_data(self, *, mode: str, follows: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give the data of the `incident_opened` record.

        `follows` names an incident on the same services that ended a short while ago.
        """
        return {
            "title": self.title,
            "severity": self.severity,
            "mode": mode,
            "services": list(self.services),
            "group": list(self.group),
            "regions": list(self.regions),
            "signals": [dict(signal) for signal in self.signals],
            "baselines": {name: dict(value) for name, value in self.baselines.items()},
            "started_at": self.started_at,
            "opened_by": self.opened_by,
            "why": self.why,
            "reasons": [dict(reason) for reason in self.reasons],
            "changes": [dict(change) for change in self.changes],
            "owners": {name: list(owners) for name, owners in self.owners.items()},
            **({"follows": dict(follows)} if follows else {}),
        }


def facts_from(data: Mapping[str, Any]) -> OpeningFacts:
    """Read back what `as_data` gave."""
    return OpeningFacts(
        title=data["title"],
        severity=data["severity"],
        services=tuple(data["services"]),
        group=tuple(data["group"]),
        regions=tuple(data["regions"]),
        signals=tuple(data["signals"]),
        baselines=data["baselines"],
        started_at=data["started_at"],
        opened_by=data["opened_by"],
        why=data["why"],
        reasons=tuple(data["reasons"]),
        changes=tuple(data["changes"]),
        owners={name: tuple(owners) for name, owners in data["owners"].items()},
    )
