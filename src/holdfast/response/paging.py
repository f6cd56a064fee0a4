"""Who is told, and when the next one is.

A page carries the takeover packet, so that whoever wakes up has what an
engineer would have gathered.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.escalation import Page, decide_page, whom
from holdfast.incident import Draft, Kind, State
from holdfast.incident.state import TAKEOVER
from holdfast.kernel.clock import parse_at
from holdfast.response.commands import Command, SendPage, WakeAt, Write
from holdfast.response.events import PageSent
from holdfast.response.world import World


def next_page(state: State, now: datetime, world: World) -> tuple[Command, ...]:
    """Page whoever is next, or come back when the last page has gone unanswered too long."""
    if not state.escalated or state.ended:
        return ()
    sent_since = _since_escalation(state)
    services = _root_first(state)
    levels = whom(world.catalogue, services, 1).levels
    decision = decide_page(
        [_page(sent) for sent in sent_since],
        phase=state.phase.value,
        held=state.held is not None,
        escalated=True,
        acknowledged=_answered(state),
        now=now,
        ack_timeout_s=world.timing.ack_timeout_s,
        levels=levels,
    )
    if decision.should_page:
        found = whom(world.catalogue, services, decision.level)
        why = f"{state.escalated['why']} ({decision.reason.value})"
        return (SendPage(level=decision.level, contacts=found.contacts, why=why),)
    if sent_since and not _answered(state):
        last = _page(sent_since[-1]).sent_at
        due = last + timedelta(seconds=world.timing.ack_timeout_s)
        return (WakeAt(at=due),) if due > now else ()
    return ()


def _answered(state: State) -> bool:
    """Somebody acknowledged, or what was asked for has come: a commander, old or new."""
    took = (state.escalated or {}).get("asks") == TAKEOVER and not state.asks_for_takeover
    return took or state.acknowledged is not None


def _since_escalation(state: State) -> tuple[Mapping[str, Any], ...]:
    """A new escalation begins at the first level again; earlier pages do not count for it, nor
    does the one to whom it is handed over (level 0).
    """
    began = (state.escalated or {}).get("seq", 0)
    return tuple(sent for sent in state.paged if sent["seq"] > began and sent["level"] > 0)


def _root_first(state: State) -> tuple[str, ...]:
    root = state.root["entity"] if state.root else None
    return (root, *state.services) if root else state.services


def _page(sent: Mapping[str, Any]) -> Page:
    delivered = any(d["delivered"] for d in sent["deliveries"])
    return Page(level=sent["level"], sent_at=parse_at(sent["at"]), delivered=delivered)


def on_sent(event: PageSent) -> tuple[Command, ...]:
    """Record the page, and the packet that went with it."""
    packet = {
        "digest": event.packet_digest,
        "markdown": event.packet_markdown,
        "level": event.level,
    }
    issued = Draft(kind=Kind.TAKEOVER_PACKET_ISSUED, data=packet)
    paged = (Draft(kind=Kind.PAGED, data=dict(data)) for data in event.sent)
    return (Write(drafts=(issued, *paged)),)
