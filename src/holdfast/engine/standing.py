"""What people decided for the whole installation, put into the guard's own terms.

It is read together with the number of the `_system` chain that it is of: the intent's transaction
compares that number, so what is decided after this look stops the step.
"""

from collections.abc import Iterable
from datetime import datetime

from holdfast.incident.system import SystemState
from holdfast.policy import Mode, Override, SetMode, Weekly, Window, is_open


def set_modes(system: SystemState) -> tuple[SetMode, ...]:
    """List the modes that people set, for whatever scope."""
    return tuple(
        SetMode(scope=fact.scope, mode=_mode(fact.mode), by=fact.by, why=fact.why, since=fact.since)
        for fact in system.modes.values()
    )


def overrides_for(system: SystemState, incident_id: str) -> tuple[Override, ...]:
    """List the overrides of one incident, used and expired ones too."""
    return tuple(
        Override(
            override_id=fact.override_id,
            limit=fact.limit,
            by=fact.by,
            why=fact.why,
            expires_at=fact.expires_at,
            target=fact.target,
        )
        for fact in system.overrides.values()
        if fact.incident_id == incident_id
    )


def open_windows(
    system: SystemState, weekly: Iterable[Weekly], now: datetime
) -> tuple[Window, ...]:
    """List the maintenance windows that are open now, announced ones and recurring ones."""
    announced = (
        Window(
            window_id=fact.window_id,
            scope=fact.scope,
            starts_at=fact.starts_at,
            ends_at=fact.ends_at,
            by=fact.by,
            why=fact.why,
        )
        for fact in system.maintenance.values()
    )
    recurring = (window for each in weekly if (window := each.open_at(now)) is not None)
    return (*(window for window in announced if is_open(window, now)), *recurring)


def _mode(word: str) -> Mode:
    try:
        return Mode(word)
    except ValueError:
        # A newer version's word lowered the mode; how far can't be told here, so all the way.
        return Mode.OBSERVE
