"""What people decided for the whole installation, put into the guard's own terms.

It is read together with the number of the `_system` chain that it is of: the intent's transaction
compares that number, so what is decided after this look stops the step.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from holdfast.incident.system import SystemState
from holdfast.kernel.clock import format_at
from holdfast.policy import (
    Mode,
    Override,
    SetMode,
    Weekly,
    Window,
    covers,
    freeze_applies,
    is_open,
    open_freezes,
)
from holdfast.response import World

Place = tuple[str, str | None]


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


def stops_on(
    system: SystemState, world: World, places: Iterable[Place], now: datetime
) -> Iterator[dict[str, Any]]:
    """List what stands in the way on these services and regions: freezes, windows, change freezes.

    `until` is None for a freeze: it ends when a person ends it.
    """
    where = tuple(places)
    for fact in system.freezes.values():
        if any(freeze_applies(fact.scope, service=s, region=r) for s, r in where):
            said = {"scope": fact.scope, "by": fact.by, "why": fact.why}
            yield {"what": "freeze", **said, "since": format_at(fact.since), "until": None}
    for what, windows in (
        ("maintenance", open_windows(system, world.maintenance, now)),
        ("change freeze", open_freezes(world.change_freezes, now)),
    ):
        for window in windows:
            if any(covers(window.scope, service=s, region=r) for s, r in where):
                yield {"what": what, **_times(window)}


def _times(window: Window) -> dict[str, Any]:
    return {
        "scope": window.scope,
        "by": window.by,
        "why": window.why,
        "since": format_at(window.starts_at),
        "until": format_at(window.ends_at),
    }


def _mode(word: str) -> Mode:
    try:
        return Mode(word)
    except ValueError:
        # A newer version's word lowered the mode; how far can't be told here, so all the way.
        return Mode.OBSERVE
