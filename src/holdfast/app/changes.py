"""Follows what is changed, so that a change is known before anybody asks for it.

Deployments are read from their table, watched files by looking at them, and the ledger holds what
was told. When the database that records deployments is part of the trouble, what was read before
it went is still there. Reading fails quietly here: it is said once, and once more when it works
again.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from holdfast.kernel.clock import Clock, format_at, parse_at
from holdfast.kernel.errors import HoldfastError
from holdfast.sources import Change, WatchedFiles

_WINDOW = timedelta(hours=2)


class ChangeWatcher(Protocol):
    """Is told of changes."""

    def on_change(self, change: Mapping[str, Any]) -> None: ...

    def notice(self, text: str) -> None: ...


class ChangeStore(Protocol):
    """The part of the ledger that keeps changes."""

    def put_change(self, change: Mapping[str, Any]) -> bool: ...

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]: ...


class ChangeLog:
    """The deployments of the last two hours. `run` blocks; `recent` is for any thread."""

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


def _nobody(_change: Mapping[str, Any]) -> str | None:
    return None


class FileLog:
    """The watched files. What changed in them is told, and kept in the ledger."""

    def __init__(
        self,
        files: WatchedFiles,
        store: ChangeStore,
        watcher: ChangeWatcher,
        clock: Clock,
        *,
        every_s: float,
        author_of: Callable[[Mapping[str, Any]], str | None] = _nobody,
    ) -> None:
        self._author_of = author_of
        self._files = files
        self._store = store
        self._watcher = watcher
        self._clock = clock
        self._every_s = every_s
        self._stopping = threading.Event()
        self._problems: tuple[str, ...] = ()
        self._kept: tuple[Mapping[str, Any], ...] = ()
        self._unkept: tuple[Mapping[str, Any], ...] = ()

    def run(self) -> None:
        """Look again and again until stopped."""
        while not self._stopping.is_set():
            self.poll()
            self._clock.wait(self._stopping, self._every_s)

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def poll(self) -> None:
        """Look once, announce what changed, and keep it. What can't be kept now is kept later."""
        found = tuple(self._signed(change) for change in self._files.poll())
        for problem in self._files.problems:
            if problem not in self._problems:
                self._watcher.notice(problem)
        self._problems = self._files.problems
        for change in found:
            self._watcher.on_change(change)
        self._kept = self._young((*self._kept, *found))
        self._unkept = self._young(self._put((*self._unkept, *found)))

    def recent(self) -> tuple[Mapping[str, Any], ...]:
        """Give what was noticed in the last two hours."""
        return self._kept

    def _signed(self, change: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return {**change, "author": change["author"] or self._author_of(change)}
        except HoldfastError:  # the ledger can't be asked; the change is told all the same
            return change

    def _put(self, changes: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        for number, change in enumerate(changes):
            try:
                self._store.put_change(change)
            except HoldfastError:  # the ledger's own trouble, which the engine tells
                return changes[number:]
        return ()

    def _young(self, changes: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        since = self._clock.now() - _WINDOW
        return tuple(change for change in changes if parse_at(change["at"]) >= since)


class Changes:
    """All that is known to have changed, from every source."""

    def __init__(
        self,
        store: ChangeStore,
        clock: Clock,
        *,
        deployments: ChangeLog | None = None,
        files: FileLog | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._logs = [log for log in (deployments, files) if log is not None]

    def run(self) -> None:
        """Follow every source until stopped; a slow one delays no other."""
        threads = [
            threading.Thread(target=log.run, name="changes", daemon=True) for log in self._logs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """Ask `run` to end."""
        for log in self._logs:
            log.stop()

    def recent(self) -> tuple[Mapping[str, Any], ...]:
        """Give what is known of the last two hours, newest first."""
        return self.since(self._clock.now() - _WINDOW)

    def since(self, since: datetime) -> tuple[Mapping[str, Any], ...]:
        """Give what is known since then, newest first. Without a ledger, what was noticed here."""
        try:
            told = self._store.changes_since(since)
        except HoldfastError:
            told = ()
        noticed = (change for log in self._logs for change in log.recent())
        known = {change["id"]: change for change in (*told, *noticed)}
        young = [change for change in known.values() if parse_at(change["at"]) >= since]
        return tuple(sorted(young, key=lambda change: parse_at(change["at"]), reverse=True))


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
