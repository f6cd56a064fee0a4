"""Who was called, who answered, and what people say beside: that part of the fold.

A new escalation asks anew, and whoever is in command stays it when somebody else acknowledges.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.incident.records import Record
from holdfast.incident.state import State, changed
from holdfast.kernel.clock import format_at

_KEPT_MOST = 50


def resumed(state: State, record: Record) -> State:
    """A person lets it go on, or what it was held for is over."""
    return changed(state, held=None, resumed_at=record.at, resumed_seq=record.seq)


def escalated(state: State, record: Record) -> State:
    """Somebody is called, and asked anew."""
    # Who acknowledged an earlier one has not seen this.
    found = {**record.data, "at": format_at(record.at), "seq": record.seq}
    return changed(state, escalated=found, acknowledged=None)


def paged(state: State, record: Record) -> State:
    """A page went out, or could not."""
    delivered = any(d["delivered"] for d in record.data["deliveries"])
    return changed(
        state,
        paged=_newest(state.paged, {**record.data, "at": format_at(record.at), "seq": record.seq}),
        pages=state.pages + int(delivered),
    )


def acknowledged(state: State, record: Record) -> State:
    """A person says that they are on it; a commander stays in command."""
    by = {"by": record.actor.id, "at": format_at(record.at)}
    return changed(state, acknowledged=by, owner=state.commander or record.actor.id)


def note(state: State, record: Record) -> State:
    """Somebody wrote something down."""
    actor = record.actor
    said = {"by": actor.id, "kind": actor.kind.value, "text": record.data["text"]}
    return changed(state, notes=_newest(state.notes, said))


def labelled(state: State, record: Record) -> State:
    """A person says afterwards what it was."""
    return changed(state, label={**record.data, "by": record.actor.id})


def _newest(
    kept: tuple[Mapping[str, Any], ...], one: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """Keep the newest ones; the timeline has all. So folding a record costs the same for ever."""
    return (*kept[-(_KEPT_MOST - 1) :], one)
