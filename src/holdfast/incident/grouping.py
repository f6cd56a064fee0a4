"""One fault, one incident: where a new opening belongs.

Openings of services that the catalogue connects belong to the incident that is
open there. While one is open, nothing opens a second beside it.
"""

from collections.abc import Iterable, Sequence

from holdfast.incident.state import State


def place(group: Sequence[str], live: Iterable[State]) -> str | None:
    """Find the live incident that an opening on this group belongs to; None: open a new one."""
    names = set(group)
    for state in live:
        if not state.ended and names & set(state.services):
            return state.incident_id
    return None
