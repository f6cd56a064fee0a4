"""A page, what became of it, and what a channel promises.

A page is complete in itself: whoever is woken by it should not have to look up
what it is about.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from holdfast.kernel.catalogue import Contact
from holdfast.kernel.redact import bounded

TEXT_CHARS_MAX = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page to one contact. The key lets a receiver drop a repeat."""

    incident_id: str
    title: str
    severity: str
    to: Contact
    level: int
    why: str
    packet_markdown: str = ""
    packet: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str

    def as_data(self) -> dict[str, Any]:
        """Give what is sent, with everything that looks like a credential taken out."""
        data = {
            "incident_id": self.incident_id,
            "title": self.title,
            "severity": self.severity,
            "to": {"id": self.to.id, "name": self.to.name},
            "level": self.level,
            "why": self.why,
            "packet_markdown": self.packet_markdown,
            "packet": dict(self.packet),
        }
        return {key: _redacted(value) for key, value in data.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a page in one channel."""

    channel: str
    delivered: bool
    detail: str

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


class Channel(Protocol):
    """A way to reach somebody. Bounded in time; may raise, which counts as not delivered."""

    @property
    def name(self) -> str: ...

    def send(self, page: Page) -> Delivery: ...


def _redacted(value: object) -> object:
    match value:
        case str():
            return bounded(value, limit=TEXT_CHARS_MAX)
        case Mapping():
            return {str(key): _redacted(item) for key, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
        case None | bool() | int():
            return value
        case float():
            # A page must go out, whatever is in it: JSON has no NaN.
            return value if math.isfinite(value) else None
        case _:
            return bounded(str(value), limit=TEXT_CHARS_MAX)
