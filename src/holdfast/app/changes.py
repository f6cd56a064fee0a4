"""Follows what is deployed, so that a change is known before anybody asks for it.

When the database that records deployments is part of the trouble, what was read
before it went is still there. Reading fails quietly here: it is said once, and
once more when it works again.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import HoldfastError
from holdfast.sources import Change

_WINDOW = timedelta(hours=2)


class ChangeWatcher(Protocol):
    """Is told of changes."""

    def on_change(self, change: Mapping[str, Any]) -> None: ...

    def notice(self, text: str) -> None: ...


class ChangeLog:
    """The changes of the last two hours. `run` blocks until stopped; `recent` is for any thread."""

    def __init__(
        self,
        read: Callable[[datetime], tuple[Change, ...]],
        watcher: ChangeWatcher,
        clock: Clock,
        *,
        every_s: float,
    ) -> None:
        self._read = read
        self._watcher = watcher
        self._clock = clock
        self._every_s = every_s
        self._stopping = threading.Event()
        self._changes: tuple[Change, ...] = ()
        self._problem: str | None = None

    def run(self) -> None:
        """Read again and again until stopped."""
        while not self._stopping.is_set():
            self.poll()
            self._clock.wait(self._stopping, self._every_s)

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def poll(self) -> None:
        """Read once, and announce what is new."""
        try:
            found = self._read(self._clock.now() - _WINDOW)
        except HoldfastError as error:
            self._fail(error.message)
            return
        if self._problem is not None:
            self._watcher.notice("deployments can be read again")
            self._problem = None
        known = {change.id for change in self._changes}
        self._changes = found
        for change in reversed(found):
            if change.id not in known:
                self._watcher.on_change(_data(change))

    def recent(self) -> tuple[Mapping[str, Any], ...]:
        """Give what is known of the last two hours, newest first, as plain data."""
        return tuple(_data(change) for change in self._changes)

    def _fail(self, problem: str) -> None:
        if self._problem is None:
            self._watcher.notice(problem)
        self._problem = problem


def _data(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "at": format_at(change.at),
        "kind": change.kind,
        "service": change.service,
        "version": change.version,
        "previous": change.previous,
        "author": change.author,
        "summary": change.summary,
    }
