"""A trouble that comes back again and again is not mended by what is done about it.

It is diagnosed each time, and then held for a person instead of acted on once
more. A person who resumes has seen that, so one more try is theirs.
"""

from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Draft, Kind, State
from holdfast.kernel.clock import format_at
from holdfast.kernel.reason import Reason
from holdfast.response.holding import hold_and_escalate
from holdfast.response.world import World

RULE = "flapping"
_WITHIN = timedelta(hours=1)


def flapping(state: State, now: datetime, world: World) -> Reason | None:
    """Say that this trouble comes and goes; None while it may still be acted on."""
    if state.reopened_at is None or state.resumed_seq > state.reopened_seq:
        return None
    count = sum(at > now - _WITHIN for at in state.reopenings)
    if count <= world.reopenings_per_hour:
        return None
    return Reason(
        rule=RULE,
        ok=False,
        text="it comes and goes (flapping): what was done about it does not last",
        reading=f"reopened {count} times in an hour",
        threshold=f"at most {world.reopenings_per_hour}",
        source="detection.reopenings_per_hour",
        at=format_at(state.reopened_at),
    )


def left_to_a_person(state: State, again: Reason, now: datetime) -> tuple[Draft, ...]:
    """Choose no runbook, hold, and call a person, with what was diagnosed this time."""
    why = again.sentence()
    none: dict[str, Any] = {
        "runbook": None,
        "title": None,
        "read": None,
        "alternatives": [],
        "near_misses": [],
    }
    data = {**none, "why": why, "reasons": [again.as_data()]}
    facts = {"flapping": {"reopenings": len(state.reopenings)}}
    considered = Draft(kind=Kind.PLAN_CHOSEN, data=data)
    return (considered, *hold_and_escalate(state, why, now, facts=facts))
