"""Maintenance windows, as people announce and end them: records on the `_system` chain.

Whatever is covered opens no incident and is not acted on; see `policy.maintenance`. The windows
that come back every week are in holdfast.yaml and are shown here beside the announced ones.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.app.config import load_catalogue, load_config
from holdfast.app.keeping_models import unknown_in_scope, weekly_windows
from holdfast.incident.system import (
    MAINTENANCE_ADDED,
    MAINTENANCE_ENDED,
    MaintenanceFact,
    SystemState,
)
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.errors import BadInputError, HoldfastError, NotFoundError, RefusedError
from holdfast.policy import DAYS, Scope, Weekly, check_span, covers
from holdfast.runbooks.durations import parse_duration

if TYPE_CHECKING:
    from holdfast.app.desk import Desk

_SHOWN_AFTER = timedelta(days=7)


def window_span(
    now: datetime, start: str | None, end: str | None, lasting: str | None
) -> tuple[datetime, datetime]:
    """Read when a window begins and ends; without a start it begins now. Raises BadInputError."""
    if (end is None) == (lasting is None):
        raise BadInputError(
            "a window needs an end, said in one way; give --to 2030-01-05T04:00Z, or --for 2h",
            field="to",
        )
    # What is said to have begun already begins now: nothing is made undone that was decided.
    starts_at = max(_moment(start, "from"), now) if start else now
    if end is not None:
        return starts_at, _moment(end, "to")
    try:
        seconds = parse_duration(lasting)
    except ValueError as error:
        raise BadInputError(f"--for: {error}", field="for") from None
    return starts_at, starts_at + timedelta(seconds=min(seconds, 10 * 365 * 86_400))


def _moment(text: str, option: str) -> datetime:
    try:
        return parse_at(text)
    except ValueError:
        raise BadInputError(
            f"--{option} {text!r:.80} is no moment; write it as 2030-01-05T02:00+01:00 (or with Z "
            "for UTC)",
            field=option,
        ) from None


def add_window(
    desk: "Desk", scope: str, starts_at: datetime, ends_at: datetime, because: str
) -> MaintenanceFact:
    """Announce a window. Needs `direct`, as it keeps Holdfast from acting."""
    caller = desk.allow(Scope.DIRECT, "`maintenance add`")
    now = desk.clock.now()
    if scope != "all":
        catalogue = load_catalogue(desk.directory / load_config(desk.directory).catalogue)
        if problem := unknown_in_scope(scope, catalogue):
            raise BadInputError(f"scope {scope!r} {problem}", field="scope")
    check_span(starts_at, ends_at, now)
    data = {
        "scope": scope,
        "starts_at": format_at(starts_at),
        "ends_at": format_at(ends_at),
        "because": because,
    }
    seq = desk.ledger.append_system(MAINTENANCE_ADDED, data, caller.actor, now)
    windows = desk.system.state().maintenance.values()
    return next(window for window in windows if window.seq == seq)


def end_window(desk: "Desk", window_id: str, because: str) -> MaintenanceFact:
    """End a window before its time, or call one off that has not begun. Needs `direct`."""
    caller = desk.allow(Scope.DIRECT, "`maintenance end`")
    now = desk.clock.now()
    windows = desk.system.state().maintenance
    found = windows.get(window_id)
    if found is None:
        if window_id.startswith("weekly-"):
            raise RefusedError(
                f"{window_id} is in holdfast.yaml; take it out there and start `serve` again"
            )
        known = ", ".join(list(windows)[-5:]) or "none yet"
        raise NotFoundError(f"maintenance {window_id!r} is not known; the last ones are {known}")
    if found.ends_at <= now:
        raise RefusedError(f"maintenance {window_id} is over since {format_at(found.ends_at)}")
    data = {"window_id": window_id, "because": because}
    desk.ledger.append_system(MAINTENANCE_ENDED, data, caller.actor, now)
    return desk.system.state().maintenance[window_id]


def list_windows(desk: "Desk", *, everything: bool) -> list[dict[str, Any]]:
    """List the windows, newest first, then the recurring ones, each with what it kept quiet."""
    now, system = desk.clock.now(), desk.system.state()
    announced = [
        _announced(fact, system, now)
        for fact in reversed(list(system.maintenance.values()))
        if everything or fact.ends_at > now - _SHOWN_AFTER
    ]
    return [*announced, *(_recurring(each, system, now) for each in _weekly(desk.directory))]


def windows_on(
    desk: "Desk", services: Sequence[str], regions: Iterable[str]
) -> list[dict[str, Any]]:
    """List the windows that are open now on any of these places: nobody should wonder why."""
    weekly: tuple[Weekly, ...] = ()
    with suppress(HoldfastError):  # a broken file is no reason to show nothing
        weekly = _weekly(desk.directory)
    system = desk.system.state()
    if not weekly and not system.maintenance:
        return []
    from holdfast.engine.standing import open_windows  # with numpy, for a rare answer

    places = [(service, region) for service in services for region in regions]
    return [
        {
            "window_id": window.window_id,
            "scope": window.scope,
            "by": window.by,
            "why": window.why,
            "until": format_at(window.ends_at),
        }
        for window in open_windows(system, weekly, desk.clock.now())
        if any(covers(window.scope, service=s, region=r) for s, r in places)
    ]


def _weekly(directory: Path) -> tuple[Weekly, ...]:
    return weekly_windows(load_config(directory).maintenance)


def _announced(fact: MaintenanceFact, system: SystemState, now: datetime) -> dict[str, Any]:
    if fact.ends_at <= now:
        state = "ended" if fact.ended_by else "over"
    else:
        state = "open" if fact.starts_at <= now else "planned"
    return {
        "window_id": fact.window_id,
        "state": state,
        "scope": fact.scope,
        "from": format_at(fact.starts_at),
        "to": format_at(fact.ends_at),
        "by": fact.by,
        "because": fact.why,
        "suppressed": list(system.suppressed.get(fact.window_id, ())),
    }


def _recurring(weekly: Weekly, system: SystemState, now: datetime) -> dict[str, Any]:
    window = weekly.open_at(now)
    days = "every day" if len(weekly.days) == len(DAYS) else _days(weekly)
    hours = f"{days} {weekly.since:%H:%M} to {weekly.until:%H:%M} {weekly.zone}"
    mine = [
        series for name, series in system.suppressed.items() if name.startswith(f"{weekly.name}/")
    ]
    return {
        "window_id": weekly.name,
        "state": "open" if window else "planned",
        "scope": weekly.scope,
        "from": format_at(window.starts_at) if window else None,
        "to": format_at(window.ends_at) if window else None,
        "by": "holdfast.yaml",
        "because": weekly.why,
        "every": hours,
        "suppressed": list(dict.fromkeys(name for series in mine for name in series)),
    }


def _days(weekly: Weekly) -> str:
    return " and ".join(day for day in DAYS if day in weekly.days)
