"""From alerts as they were sent to what an incident is told: pure.

An alert is known by its labels without those of replicas. What maps to no service
of the catalogue keeps the name that its label says: nothing acts on it, and a
person sees it; of many such names each has an incident up to a number, and the
rest share one. All text is data: bounded, without secrets and control characters.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.api import Alert
from holdfast.app.intake_models import AlertmanagerModel, IntakeModel
from holdfast.engine import OpeningFacts
from holdfast.engine.intake import baselines
from holdfast.engine.ports import Readings
from holdfast.incident.timeline import one_line
from holdfast.kernel.catalogue import ALERT, NO_REGION, Catalogue
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.reason import Reason
from holdfast.kernel.redact import MARK, redact

UNNAMED = "unnamed"
# A label whose values never end must not open incidents without end, each with its page.
STRANGERS_MOST = 25
STRANGERS = f"more than {STRANGERS_MOST} services that the catalogue does not name"
LABELS_MAX, LABEL_MAX, ANNOTATIONS_MAX, ANNOTATION_MAX = 64, 256, 16, 1000
_TOLD_MAX, _APART_MAX, _NAME_MAX = 300, 120, 80
_CRITICAL = frozenset({"critical", "page", "emergency", "fatal"})
_SUMMARIES = ("summary", "message", "title", "description")
_NOT_APART = frozenset({"alertname"})
_REASONS_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an alert belongs. `used` are the labels that said so."""

    service: str
    region: str
    group: tuple[str, ...]
    used: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One alert as it was sent, and the signal that it is; None: it is to be ignored."""

    name: str
    fingerprint: str
    firing: bool
    place: Place
    signal: Mapping[str, Any] | None


@dataclass(slots=True, kw_only=True)
class Strangers:
    """Whose name has an incident of its own although the catalogue does not know it."""

    names: set[str]

    def place(self, found: Place, *, firing: bool) -> Place:
        """Give the place of a service that nobody knows: its own, or the one that many share."""
        if found.service in self.names:
            return found
        if STRANGERS not in self.names and len(self.names) < STRANGERS_MOST:
            if firing:
                self.names.add(found.service)
            return found
        # No label is used up: the service's own tells one alert from the next.
        return Place(service=STRANGERS, region=NO_REGION, group=(STRANGERS,), used=frozenset())


def strangers(live: Iterable[Iterable[str]], catalogue: Catalogue) -> Strangers:
    """Find them among the services of each live incident."""
    names = (name for services in live for name in services)
    return Strangers(names={name for name in names if name not in catalogue.services})


def hear(
    alerts: Iterable[Alert],
    rules: IntakeModel,
    catalogue: Catalogue,
    now: datetime,
    nobodys: Strangers,
) -> tuple[Heard, ...]:
    """Make a signal of each alert."""
    groups = {name: group for group in catalogue.groups() for name in group}
    return tuple(_heard(alert, rules, catalogue, groups, now, nobodys) for alert in alerts)


def _heard(
    alert: Alert,
    rules: IntakeModel,
    catalogue: Catalogue,
    groups: Mapping[str, tuple[str, ...]],
    now: datetime,
    nobodys: Strangers,
) -> Heard:
    raw = {k: v for k, v in alert.labels.items() if k not in rules.replica_labels}
    name = plain(raw.get("alertname", ""), LABEL_MAX) or UNNAMED
    place = _place(raw, name, rules.alertmanager, catalogue, groups)
    fingerprint = hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:16]
    ignored = name in rules.alertmanager.ignore
    if place.service not in catalogue.services and not ignored:
        place = nobodys.place(place, firing=alert.firing)
    return Heard(
        name=name,
        fingerprint=fingerprint,
        firing=alert.firing,
        place=place,
        signal=None if ignored else _signal(alert, raw, name, place, fingerprint, rules, now),
    )


def _place(
    labels: Mapping[str, str],
    name: str,
    rules: AlertmanagerModel,
    catalogue: Catalogue,
    groups: Mapping[str, tuple[str, ...]],
) -> Place:
    """Take the first label that names a service of the catalogue; else the first that is there."""
    given = [(label, labels[label]) for label in rules.service_labels if labels.get(label)]
    known = ((label, rules.services.get(value, value)) for label, value in given)
    found = next(((label, value) for label, value in known if value in catalogue.services), None)
    label, value = found or (given[0] if given else ("", f"{UNNAMED} ({name})"))
    service = value if found else plain(value, _NAME_MAX)
    regions = catalogue.services[service].regions if found else ()
    region_label, region = _region(labels, rules, regions)
    return Place(
        service=service,
        region=region,
        group=groups.get(service, (service,)),
        # A name that was cut is told apart by the label itself.
        used=frozenset({label, region_label})
        - {name for name, shown in ((label, service), (region_label, region)) if _is_cut(shown)},
    )


def _is_cut(shown: str) -> bool:
    return len(shown) == _NAME_MAX and shown.endswith("…")


def _region(
    labels: Mapping[str, str], rules: AlertmanagerModel, regions: Sequence[str]
) -> tuple[str, str]:
    given = [(label, labels[label]) for label in rules.region_labels if labels.get(label)]
    for label, value in given:
        if value in regions:
            return label, value
    if len(regions) == 1:
        return "", regions[0]
    if given and not regions:
        return given[0][0], plain(given[0][1], _NAME_MAX)
    return "", NO_REGION


def _signal(
    alert: Alert,
    raw: Mapping[str, str],
    name: str,
    place: Place,
    fingerprint: str,
    rules: IntakeModel,
    now: datetime,
) -> dict[str, Any]:
    labels = _bounded(raw, LABELS_MAX, LABEL_MAX)
    annotations = _bounded(alert.annotations, ANNOTATIONS_MAX, ANNOTATION_MAX)
    series = f"alert {name} of {place.service} in {place.region}" + _apart(raw, place, fingerprint)
    said = alert.starts_at if alert.starts_at and _is_moment(alert.starts_at, now) else None
    starts_at = format_at(said or now)
    word = f"is firing since {starts_at}" if alert.firing else "is said to be resolved"
    summary = next((annotations[key] for key in _SUMMARIES if annotations.get(key)), "")
    about = f": {plain(summary, _TOLD_MAX)}" if summary and alert.firing else ""
    incident_type = rules.alertmanager.types.get(name)
    return {
        "series": series,
        "service": place.service,
        "region": place.region,
        "signal": ALERT,
        "state": "bad" if alert.firing else "returned",
        "severity": "critical" if raw.get("severity", "").lower() in _CRITICAL else "warning",
        "at": format_at(now),
        "reason": f"{series} {word}{about}",
        "labels": labels,
        "annotations": annotations,
        "fingerprint": fingerprint,
        "starts_at": starts_at,
        "stale_after_s": rules.alertmanager.stale_after_s,
        "generator_url": plain(alert.generator_url or "", _TOLD_MAX) or None,
        **({"incident_type": incident_type} if incident_type else {}),
        **({} if said else {"start_unknown": True}),
        **dict.fromkeys(("value", "expected", "low", "high", "score")),
    }


def _is_moment(starts_at: datetime, now: datetime) -> bool:
    """Say whether it says when it began: not with the year 1 of an empty field, nor ahead of us."""
    return starts_at.year > 1 and starts_at <= now


def _apart(raw: Mapping[str, str], place: Place, fingerprint: str) -> str:
    """Tell apart what only other labels tell apart: two instances, two severities."""
    rest = {k: v for k, v in raw.items() if k not in _NOT_APART and k not in place.used}
    if not rest:
        return ""
    told = ", ".join(f"{key}={value}" for key, value in sorted(rest.items()))
    shown = plain(told, _APART_MAX)
    return f" ({shown})" if shown == told else f" ({shown} #{fingerprint[:8]})"


def plain(text: str, limit: int) -> str:
    """Give text as one bounded line, without secrets and without what steers a terminal."""
    # Before anything is cut off: half a secret looks like none.
    line = redact(one_line(redact(text)[: 4 * limit]))
    shown = line if len(line) <= limit else f"{line[: limit - 1]}…"
    return shown.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no text


def _bounded(texts: Mapping[str, str], most: int, limit: int) -> dict[str, str]:
    """Keep the first `most` by name; the alert's name and its severity always."""
    first = sorted(texts, key=lambda key: (key not in {"alertname", "severity"}, key))[:most]
    return {plain(key, LABEL_MAX): _value(key, texts[key], limit) for key in first}


def _value(key: str, text: str, limit: int) -> str:
    """Give a label's value; none where the label's own name says that it is a secret."""
    return MARK if text and redact(f"{key}=x") != f"{key}=x" else plain(text, limit)


def by_group(heard: Iterable[Heard]) -> list[tuple[tuple[str, ...], list[Mapping[str, Any]]]]:
    """Put together what belongs to the same services; of one series the worst word counts.

    Two replicas that watch the same thing may not agree for a while: one that fires is right.
    """
    groups: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for each in heard:
        if each.signal is None:
            continue
        found = groups.setdefault(each.place.group, {})
        known = found.get(each.signal["series"])
        if known is None or _weight(each.signal) > _weight(known):
            found[each.signal["series"]] = each.signal
    return [(group, list(signals.values())) for group, signals in groups.items()]


def _weight(signal: Mapping[str, Any]) -> tuple[bool, str]:
    return signal["state"] == "bad", signal["starts_at"]


def facts_of(
    group: tuple[str, ...],
    signals: Sequence[Mapping[str, Any]],
    catalogue: Catalogue,
    readings: Readings,
    changes: Callable[[], Iterable[Mapping[str, Any]]],
) -> OpeningFacts:
    """Turn the alerts of one group into the facts of an incident, the worst one first.

    The metrics of their services count as evidence: what was normal before the first of them.
    """
    ordered = sorted(signals, key=lambda s: (s["state"] != "bad", s["severity"] != "critical"))
    services = tuple(dict.fromkeys(signal["service"] for signal in ordered))
    known = [catalogue.services[name] for name in group if name in catalogue.services]
    started_at = min(signal["starts_at"] for signal in ordered)
    more = len(ordered) - _REASONS_TOLD
    told = [signal["reason"] for signal in ordered[:_REASONS_TOLD]]
    return OpeningFacts(
        title=_title(ordered),
        severity="critical" if any(s["severity"] == "critical" for s in ordered) else "warning",
        services=services,
        group=group,
        regions=_regions(ordered, catalogue),
        signals=tuple(ordered),
        baselines=baselines(
            (key for service in known for key in service.series()),
            readings,
            parse_at(started_at),
            catalogue,
        ),
        started_at=started_at,
        opened_by=ALERT,
        why="; ".join([*told, *([f"and {more} more alerts"] if more > 0 else [])]),
        reasons=tuple(_reason(signal).as_data() for signal in ordered[:_REASONS_TOLD]),
        changes=tuple(change for change in changes() if change["service"] in group),
        owners={
            name: catalogue.services[name].owners for name in services if name in catalogue.services
        },
    )


def _title(ordered: Sequence[Mapping[str, Any]]) -> str:
    first = ordered[0]
    where = f" in {first['region']}" if first["region"] != NO_REGION else ""
    more = f", and {len(ordered) - 1} more" if len(ordered) > 1 else ""
    name = plain(first["labels"].get("alertname") or UNNAMED, _NAME_MAX)
    return f"alert {name} on {first['service']}{where}{more}"


def _regions(signals: Iterable[Mapping[str, Any]], catalogue: Catalogue) -> tuple[str, ...]:
    """List where it is; an alert that names no region of its service may be about any of them."""
    found: set[str] = set()
    for signal in signals:
        service = catalogue.services.get(signal["service"])
        elsewhere = service is not None and signal["region"] not in service.regions
        found.update(service.regions if service and elsewhere else (signal["region"],))
    return tuple(sorted(found))


def _reason(signal: Mapping[str, Any]) -> Reason:
    return Reason(
        rule=ALERT, ok=False, text=signal["reason"], source="alertmanager", at=signal["starts_at"]
    )
