"""Sends a page through every channel of its contact.

Each channel for itself: what one does or fails to do changes nothing for the next.
The answer names every channel, those that don't exist included.
"""

from collections.abc import Sequence
from typing import Any

from holdfast.kernel.redact import bounded
from holdfast.notify.page import Channel, Delivery, Page

DETAIL_CHARS_MAX = 300


class Notifier:
    """Knows the channels of this installation."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = {channel.name: channel for channel in channels}

    def page(self, page: Page) -> tuple[Delivery, ...]:
        """Send `page` through each channel of its contact; never raises."""
        return tuple(self._send(name, page) for name in dict.fromkeys(page.to.page))

    def _send(self, name: str, page: Page) -> Delivery:
        channel = self._channels.get(name)
        if channel is None:
            known = ", ".join(self._channels) or "none"
            return _failed(name, f"no channel {name!r} is configured; known: {known}")
        try:
            return channel.send(page)
        except Exception as error:  # noqa: BLE001 - a channel that breaks must not stop the next
            return _failed(name, f"{type(error).__name__}: {error}")


def paged_data(page: Page, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """Give what a `paged` record holds: to whom, why, and what became of it."""
    return {
        "to": {"id": page.to.id, "name": page.to.name},
        "level": page.level,
        "why": page.why,
        "delivered": any(delivery.delivered for delivery in deliveries),
        "deliveries": [delivery.as_data() for delivery in deliveries],
    }


def _failed(name: str, detail: str) -> Delivery:
    return Delivery(channel=name, delivered=False, detail=bounded(detail, limit=DETAIL_CHARS_MAX))
