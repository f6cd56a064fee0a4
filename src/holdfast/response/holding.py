"""Hold and hand over: the answer to every doubt.

A hold always comes with an escalation, so that nothing waits for somebody who
was never told.
"""

from datetime import datetime
from typing import Any

from holdfast.incident import Draft, Kind, State


def hold_and_escalate(
    state: State, why: str, now: datetime, *, facts: dict[str, Any] | None = None
) -> tuple[Draft, ...]:
    """Hold the incident and tell the first level, both with the same reason."""
    drafts: list[Draft] = []
    if not state.held:
        drafts.append(Draft(kind=Kind.HELD, data={"why": why, **(facts or {})}))
    if not state.escalated:
        data = {"level": 1, "why": why, "since": now.isoformat()}
        drafts.append(Draft(kind=Kind.ESCALATED, data=data))
    return tuple(drafts)
