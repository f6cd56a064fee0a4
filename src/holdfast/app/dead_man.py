"""The dead-man's switch: an address outside is pinged for as long as Holdfast really works.

What "works" means is decided in one pure function, with its reasons. When Holdfast's own work
stalls the pings stop, and whoever expects them tells people: Holdfast itself may not be able to.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.app.build import Parts
from holdfast.app.keeping_models import DeadManModel
from holdfast.app.outside import host, send
from holdfast.engine import Monitor
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.kernel.reason import Reason
from holdfast.runbooks.durations import format_duration

_TICKS_MISSED_MOST = 3
_TICK_AGE_LEAST_S = 2.0
_QUIET_S = 10.0
_LOOK_AGAIN_S_MAX = 5.0
_JOIN_S = 1.0
_FREE_BYTES_LEAST = 1 << 20
_SILENT_S_MAX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What Holdfast knows of its own work; times by the monotonic clock, None: not once yet.

    `interval_s` None: there is nothing to sample. `store_within_s`: a round with the store is
    expected at least this often. `free_bytes`: on the disk of a ledger in a file.
    """

    now: float
    interval_s: float | None
    ticked_at: float | None
    rounded_at: float | None
    store_within_s: float
    unavailable_at: float | None = None
    broken: str | None = None
    away: str | None = None
    opens: bool = True
    free_bytes: int | None = None


def works(vitals: Vitals) -> tuple[Reason, ...]:
    """Judge whether Holdfast works: it samples, it gets through its rounds, the store takes what
    it writes, and it is the one that opens incidents. It does when every reason is ok.
    """
    return (_samples(vitals), _rounds(vitals), _writes(vitals), _opens(vitals))


def _samples(vitals: Vitals) -> Reason:
    if vitals.interval_s is None:
        return _reason("sampling", ok=True, text="there is nothing to sample here")
    limit_s = max(_TICKS_MISSED_MOST * vitals.interval_s, _TICK_AGE_LEAST_S)
    return _aged("sampling", "tick", vitals.ticked_at, vitals.now, limit_s)


def _rounds(vitals: Vitals) -> Reason:
    return _aged("engine", "round with the store", vitals.rounded_at, vitals.now, _rounds_s(vitals))


def _rounds_s(vitals: Vitals) -> float:
    return max(vitals.store_within_s, _TICK_AGE_LEAST_S)


def _writes(vitals: Vitals) -> Reason:
    if problem := vitals.broken or vitals.away:
        return _reason("ledger", ok=False, text=f"the ledger can't be written: {problem}")
    failed_at = vitals.unavailable_at
    if failed_at is not None and vitals.now - failed_at < _QUIET_S:
        text = "the ledger refused a record a moment ago"
        return _reason("ledger", ok=False, text=text, reading=_ago(vitals.now - failed_at))
    if vitals.free_bytes is not None and vitals.free_bytes < _FREE_BYTES_LEAST:
        # A ledger to which nothing has to be written yet refuses nothing either.
        text, least = "the disk of the ledger is full", f"at least {_FREE_BYTES_LEAST >> 10} KiB"
        free = f"{vitals.free_bytes >> 10} KiB free"
        return _reason("ledger", ok=False, text=text, reading=free, threshold=least)
    return _reason("ledger", ok=True, text="the ledger takes what is written")


def _opens(vitals: Vitals) -> Reason:
    text = "this process opens incidents"
    if not vitals.opens:
        text = "another process opens the incidents of this database, or nobody can tell who"
    return _reason("detection", ok=vitals.opens, text=text)


def _aged(rule: str, what: str, at: float | None, now: float, limit_s: float) -> Reason:
    limit = f"at most {format_duration(limit_s)} old"
    if at is None:
        return _reason(rule, ok=False, text=f"there was no whole {what} yet", threshold=limit)
    ok = now - at <= limit_s
    text = f"the last whole {what} is {'fresh' if ok else 'too old'}"
    return _reason(rule, ok=ok, text=text, reading=_ago(now - at), threshold=limit)


def _ago(seconds: float) -> str:
    return f"{format_duration(round(seconds, 1))} old"


def _reason(
    rule: str, *, ok: bool, text: str, reading: str | None = None, threshold: str | None = None
) -> Reason:
    return Reason(rule=rule, ok=ok, text=text, reading=reading, threshold=threshold)


def vitals_of(parts: Parts, clock: Clock, lease_s: float, place: Path | None) -> Vitals:
    """Gather what `works` judges. It may take as long as the store does to say who may open.

    `place` is the file of the ledger; None where it is in a database.
    """
    engine, monitor = parts.engine, parts.monitor
    try:
        opens = monitor.may_open() if isinstance(monitor, Monitor) else True
    except LedgerUnavailableError:
        opens = False
    return Vitals(
        now=clock.monotonic(),
        interval_s=monitor.interval_s if monitor is not None else None,
        ticked_at=monitor.ticked_at if isinstance(monitor, Monitor) else None,
        rounded_at=engine.rounded_at,
        store_within_s=lease_s,
        unavailable_at=engine.unavailable_at,
        broken=parts.ledger.broken or engine.failed,
        away=engine.away,
        opens=opens,
        free_bytes=_free_bytes(place),
    )


def _free_bytes(place: Path | None) -> int | None:
    if place is None:
        return None
    try:
        found = os.statvfs(place.parent)
    except OSError:
        return None  # what is wrong there the ledger itself will say
    return found.f_bavail * found.f_frsize


class DeadMan:
    """Pings from a thread of its own, so that nothing else ever waits for it."""

    def __init__(
        self,
        settings: DeadManModel,
        vitals: Callable[[], Vitals],
        notice: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._vitals = vitals
        self._notice = notice
        self._clock = clock
        self._stopping = threading.Event()
        # The address may hold a secret: nothing but its host is ever shown.
        self._host = host(settings.url)
        self._stalled: tuple[str, ...] | None = None
        self._problem: str | None = None
        self._last_ping_at: datetime | None = None
        self._judged_at: float | None = None

    def run(self) -> None:
        """Ping at every interval until stopped; while it stalls, look again sooner than that."""
        soon = min(max(self._settings.every_s / 10, 0.1), _LOOK_AGAIN_S_MAX)
        while not self._stopping.is_set():
            due = self._clock.monotonic() + (self._settings.every_s if self.poll() else soon)
            self._clock.wait(self._stopping, max(due - self._clock.monotonic(), 0.0))

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def poll(self) -> bool:
        """Judge once, and ping if Holdfast works; say whether it does."""
        stalled = tuple(r.sentence() for r in works(self._vitals()) if not r.ok)
        self._judged_at = self._clock.monotonic()
        if bool(stalled) != bool(self._stalled) or self._stalled is None:
            self._tell(stalled)
        self._stalled = stalled
        if not stalled:
            self._ping()
        return not stalled

    def view(self) -> dict[str, Any]:
        """Say for /healthz when the last ping arrived, and why none is sent."""
        stalled = self._silent() or self._stalled
        return {
            "to": self._host,
            "works": not stalled if stalled is not None else None,
            "why": list(stalled or ()),
            "last_ping_at": format_at(self._last_ping_at) if self._last_ping_at else None,
            "problem": self._problem,
        }

    def _silent(self) -> tuple[str, ...] | None:
        """Say that not even the judging gets through: it asks the store, and may hang with it."""
        if self._judged_at is None:
            return None
        quiet_s = self._clock.monotonic() - self._judged_at
        if quiet_s <= self._settings.every_s + self._settings.timeout_s + _SILENT_S_MAX:
            return None
        return (f"whether it works could not be judged for {format_duration(round(quiet_s))}",)

    def _tell(self, stalled: tuple[str, ...]) -> None:
        if not stalled:
            self._notice(f"dead-man's switch: pings go to {self._host}")
        elif self._stalled is not None:
            self._notice(f"dead-man's switch: no ping to {self._host}: {'; '.join(stalled)}")

    def _ping(self) -> None:
        to = self._settings
        problem = send(to.method, to.url, timeout_s=to.timeout_s)
        if problem is None:
            self._last_ping_at = self._clock.now()
        if problem != self._problem:
            self._notice(
                f"dead-man's switch: {self._host} {problem}; nothing here waits for it"
                if problem
                else f"dead-man's switch: {self._host} takes pings again"
            )
        self._problem = problem


@contextmanager
def dead_man(
    settings: DeadManModel | None,
    vitals: Callable[[], Vitals],
    notice: Callable[[str], None],
    clock: Clock,
) -> Iterator[DeadMan | None]:
    """Ping for as long as the block lasts; None where no address is configured."""
    if settings is None:
        yield None
        return
    switch = DeadMan(settings, vitals, notice, clock)
    thread = threading.Thread(target=switch.run, name="dead-man", daemon=True)
    thread.start()
    try:
        yield switch
    finally:
        switch.stop()
        thread.join(_JOIN_S)
