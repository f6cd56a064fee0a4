"""One fault, one incident: where a new opening belongs.

Openings of services that the catalogue connects belong to the incident that is
open there. While one is open, nothing opens a second beside it; and what comes
back on the same services right after an end is the same fault.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from holdfast.incident.state import State


def place(group: Sequence[str], live: Iterable[State]) -> str | None:
    """Find the live incident that an opening on this group belongs to; None: open a new one."""
    names = set(group)
    for state in live:
        if not state.ended and names & set(state.services):
            return state.incident_id
    return None


def last_ended_on(
    services: Sequence[str], ended: Iterable[State], *, now: datetime, window_s: float
) -> State | None:
    """Find the incident that ended last, at most `window_s` ago, with one of these services in it.

    A resolved one is reopened by what is seen now; a dismissed or closed one stays as it is, and
    the new incident says that it follows it.
    """
    names, since = set(services), now - timedelta(seconds=window_s)
    found = [
        (state.ended_at, state)
        for state in ended
        if state.ended_at is not None
        and state.ended_at > since
        and state.merged_into is None
        and names & set(state.services)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None
