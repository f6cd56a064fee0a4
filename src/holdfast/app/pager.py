"""Sends a page to a contact over the channels that the configuration has."""

import sys
from collections.abc import Mapping
from typing import Any

from holdfast.incident import State
from holdfast.kernel.catalogue import Contact
from holdfast.notify import ConsoleChannel, Notifier, Page, WebhookChannel, paged_data
from holdfast.response.handing import HANDOFF_LEVEL


class ContactPager:
    """Fulfils `engine.ports.Pager`."""

    def __init__(self, webhook: str | None) -> None:
        console = ConsoleChannel(sys.stderr)
        self._notifier = Notifier([console, WebhookChannel(webhook)] if webhook else [console])

    def send(
        self,
        state: State,
        to: Contact,
        *,
        level: int,
        why: str,
        packet: Mapping[str, Any],
        markdown: str,
    ) -> Mapping[str, Any]:
        page = Page(
            incident_id=state.incident_id,
            title=state.title,
            severity=state.severity,
            to=to,
            level=level,
            why=why,
            packet_markdown=markdown,
            packet=packet,
            idempotency_key=f"{state.incident_id}/page/{_call(state, level)}/{to.id}",
        )
        return paged_data(page, self._notifier.page(page))


def _call(state: State, level: int) -> str:
    """Name the call by its record: a second one to the same contact is another page, no repeat."""
    if level == HANDOFF_LEVEL and state.handoff:
        return f"handoff-{state.handoff['seq']}"
    return f"{(state.escalated or {}).get('seq', 0)}-{level}"
