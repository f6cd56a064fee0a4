"""Names the type of an incident by a table over its signals.

The first row that fits names the type, the hard facts first: a process that is
down explains its errors, not the other way round. Jobs that fail pile up, so errors
come before a backlog. An alert names its type only where no measured signal does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.kernel.catalogue import UP
from holdfast.kernel.reason import Reason

UNKNOWN = "unknown"

# signal that is bad -> incident type, most telling first
TYPE_TABLE: tuple[tuple[str, str], ...] = (
    (UP, "service_down"),
    ("reachable", "service_down"),  # what a query says where nothing is scraped
    ("disk", "disk_full"),
    ("connections", "connection_leak"),
    ("memory", "memory_growth"),
    ("errors", "high_error_rate"),
    ("queue_age", "queue_backlog"),
    ("latency", "high_latency"),
    ("traffic", "traffic_drop"),
    ("saturation", "saturation"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The type, and the readings that made it so."""

    incident_type: str
    reasons: tuple[Reason, ...]


def classify(
    signals: Iterable[Mapping[str, Any]], checks: Mapping[str, Mapping[str, Any]]
) -> Classification:
    """Name the type from the signals that are bad now and the checks' results."""
    bad = [signal for signal in signals if signal.get("state") == "bad"]
    for name, incident_type in TYPE_TABLE:
        found = [signal for signal in bad if signal["signal"] == name]
        if found:
            return Classification(
                incident_type=incident_type, reasons=tuple(_why(s) for s in found)
            )
    stopped = _stopped_instances(checks)
    if stopped:
        text = f"{', '.join(stopped)} is not running, so the type is service_down"
        reason = Reason(rule="classify", ok=True, text=text, source="check service_status")
        return Classification(incident_type="service_down", reasons=(reason,))
    named = [signal for signal in bad if signal.get("incident_type")]
    if named:
        return Classification(
            incident_type=str(named[0]["incident_type"]), reasons=(_named_by_alert(named[0]),)
        )
    nothing = Reason(rule="classify", ok=False, text="no row of the type table fits the signals")
    return Classification(incident_type=UNKNOWN, reasons=(nothing,))


def _named_by_alert(signal: Mapping[str, Any]) -> Reason:
    return Reason(
        rule="classify",
        ok=True,
        text=f"{signal['series']} names the type; no measured signal does",
        source="alert",
        at=signal.get("at"),
    )


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "no reading"


def _why(signal: Mapping[str, Any]) -> Reason:
    return Reason(
        rule="classify",
        ok=True,
        text=f"{signal['series']} is out of range",
        reading=_figure(signal.get("value")),
        source="detection",
        at=signal.get("at"),
    )


def _stopped_instances(checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    status = checks.get("service_status", {})
    if status.get("status") != "down":
        return []
    instances = status.get("instances", {})
    return [name for name, facts in instances.items() if facts.get("state") != "RUNNING"]
