"""What happens to files that others replace or remove: release links, the flag file, temp files.

Rule: the kernel tells it (inotify), so no move is missed or merged. A mark of our own, made in
the same directory and waited for, says that all before it has been seen.
"""

import fnmatch
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.effects import Effect

FENCE = ".fence-"
FENCE_TIMEOUT_S = 10.0
POLL_S = 0.02
BURST_GAP_S = 0.5  # many files or keys that go one after another are one doing


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory to watch: for `name` moved into place, or for files like `gone` removed."""

    directory: Path
    kind: str
    target: str
    name: str | None = None
    gone: str | None = None


class Watch(Protocol):
    """Writes every effect in its places into an EffectLog."""

    how: str

    def close(self) -> None: ...


class EffectLog:
    """A list of effects that watchers append to and a reader waits on."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._bursts: dict[tuple[str, str], tuple[int, float, int]] = {}
        self._marks: set[str] = set()
        self._changed = threading.Condition()

    def add(self, effect: Effect) -> None:
        with self._changed:
            self._effects.append(effect)

    def add_one_of_many(self, kind: str, target: str, what: str) -> None:
        """Count one more thing gone: a part of the effect just seen, or the first of a new one."""
        with self._changed:
            now = time.monotonic()
            place, last, count = self._bursts.get((kind, target), (-1, 0.0, 0))
            if place < 0 or now - last > BURST_GAP_S:
                place, count = len(self._effects), 0
                effect = Effect(at=SystemClock().now(), kind=kind, target=target, detail="")
                self._effects.append(effect)
            count += 1
            self._effects[place] = replace(self._effects[place], detail=f"{count} {what} gone")
            self._bursts[kind, target] = (place, now, count)

    def mark(self, name: str) -> None:
        with self._changed:
            self._marks.add(name)
            self._changed.notify_all()

    def wait_for_mark(self, name: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: name in self._marks, FENCE_TIMEOUT_S):
                raise HoldfastError(
                    f"an observer did not see the sandbox's own mark {name} within "
                    f"{FENCE_TIMEOUT_S:.0f} s, so its counts are not complete; run it again"
                )

    def all(self) -> list[Effect]:
        with self._changed:
            return list(self._effects)

    def claim_from(self, first: int) -> None:
        """Say that the sandbox itself made the effects from number `first` on."""
        with self._changed:
            mine = [replace(e, by_sandbox=True) for e in self._effects[first:]]
            self._effects[first:] = mine
            self._bursts.clear()  # what goes from now on is somebody else's doing


def watch_places(places: Sequence[Place], log: EffectLog) -> Watch:
    """Watch by the kernel where it tells (Linux), by looking often elsewhere."""
    return Inotify(places, log) if sys.platform == "linux" else Polling(places, log)


class Inotify:
    """The kernel reports each rename into place; none is merged, as each has its own cookie."""

    how = "inotify"

    def __init__(self, places: Sequence[Place], log: EffectLog) -> None:
        import inotify_simple

        self._flags = inotify_simple.flags
        self._inotify = inotify_simple.INotify()
        wanted = self._flags.MOVED_TO | self._flags.CREATE
        gone = wanted | self._flags.DELETE | self._flags.MOVED_FROM
        self._watched = {
            self._inotify.add_watch(place.directory, gone if place.gone else wanted): place
            for place in places
        }
        self._log = log
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="observer-files", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        import select

        poll = select.poll()
        poll.register(self._inotify.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN | select.POLLHUP)
        while all(fd != self._wake for fd, _ in poll.poll()):
            for event in self._inotify.read(timeout=0):
                if event.mask & self._flags.Q_OVERFLOW:
                    return  # marks are seen no more, so the next reader is told: counts miss some
                came = bool(event.mask & (self._flags.MOVED_TO | self._flags.CREATE))
                _seen(self._log, self._watched[event.wd], event.name, came=came)

    def close(self) -> None:
        os.close(self._woken)
        self._thread.join()
        self._inotify.close()
        os.close(self._wake)


class Polling:
    """Where there is no inotify (macOS): compares inodes and names.

    Two moves within 20 ms count as one; `how` says so to whoever reads the grades.
    """

    how = "polling every 20 ms"

    def __init__(self, places: Sequence[Place], log: EffectLog) -> None:
        self._places = places
        self._log = log
        self._stop = threading.Event()
        self._before = [_look(place) for place in places]
        self._thread = threading.Thread(target=self._run, name="observer-files", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            for number, place in enumerate(self._places):
                before, now = self._before[number], _look(place)
                self._before[number] = now
                for name in before.keys() - now.keys():
                    _seen(self._log, place, name, came=False)
                for name in now:
                    if now[name] != before.get(name):
                        _seen(self._log, place, name, came=True)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def _seen(log: EffectLog, place: Place, name: str, *, came: bool) -> None:
    if name.startswith(FENCE):
        log.mark(name)
    elif came and name == place.name:
        detail = f"now {_content(place.directory / name)}"
        at = SystemClock().now()
        log.add(Effect(at=at, kind=place.kind, target=place.target, detail=detail))
    elif not came and place.gone is not None and fnmatch.fnmatchcase(name, place.gone):
        log.add_one_of_many(place.kind, place.target, "files")


def _content(path: Path) -> str:
    """Say what lies there now: where a link leads, or that it is a new file."""
    if path.is_symlink():
        return str(path.readlink())
    return "a new file" if path.exists() else "nothing"


def _look(place: Place) -> dict[str, tuple[int, int]]:
    found = {}
    for path in place.directory.iterdir():
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        found[path.name] = (status.st_ino, status.st_ctime_ns)
    return found
