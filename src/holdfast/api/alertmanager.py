"""Reads the body of Alertmanager's webhook (version 4), and Grafana's superset of it.

The whole body is judged before anything of it counts. Fields that we don't know
are none of our business. What is read stays text: nothing here is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.api.reading import as_list, as_mapping, as_moment, as_text, bad

_STATUSES = ("firing", "resolved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert, as it was sent. `starts_at` None: the sender did not say."""

    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    generator_url: str | None = None


def read_alerts(document: object) -> tuple[Alert, ...]:
    """Read every alert of a webhook's body. Raises BadInputError with the field's path."""
    body = as_mapping(document, "the body")
    alerts = as_list(body.get("alerts"), "alerts")
    return tuple(_alert(each, f"alerts[{index}]") for index, each in enumerate(alerts))


def _alert(value: object, field: str) -> Alert:
    body = as_mapping(value, field)
    status = body.get("status")
    if status not in _STATUSES:
        raise bad(f"{field}.status", status, "send firing or resolved")
    starts_at, url = body.get("startsAt"), body.get("generatorURL")
    return Alert(
        firing=status == "firing",
        labels=_texts(body.get("labels"), f"{field}.labels"),
        annotations=_texts(body.get("annotations"), f"{field}.annotations"),
        starts_at=None if starts_at is None else as_moment(starts_at, f"{field}.startsAt"),
        generator_url=None if url is None else as_text(url, f"{field}.generatorURL"),
    )


def _texts(value: Any, field: str) -> dict[str, str]:  # noqa: ANN401 - any JSON value
    if value is None:
        return {}
    return {
        name: as_text(text, f"{field}.{name}") for name, text in as_mapping(value, field).items()
    }
