"""What really happened at the targets, counted where Holdfast can't write.

Rule: an effect is what the target shows (the release link was moved into place,
supervisord started a process), never what Holdfast says it did. Before a count is
read, a mark of our own is sent through the same channel and waited for, so that a
count is complete and not just recent. Effects that the sandbox made itself are told
apart by fencing them in.
"""

import contextlib
import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import instance_name
from holdfast.kernel.clock import SystemClock, parse_at
from holdfast.sandbox.site import Site, process_name
from holdfast.sandbox.supervisor import EVENT_LOG, Supervisor

FENCE_TIMEOUT_S = 10.0
POLL_S = 0.02
RELEASE_SWITCHED = "release_switched"
PROCESS_STARTED = "process_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that happened to a target. `target` is a service, or `service@region`."""

    at: datetime
    kind: str
    target: str
    detail: str
    by_sandbox: bool = False


class LinkWatch(Protocol):
    """Sees every time something is moved to `current` in the watched directories."""

    how: str

    def close(self) -> None: ...


class EffectLog:
    """A list of effects that a watcher appends to and a reader waits on."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._marks: set[str] = set()
        self._changed = threading.Condition()

    def add(self, effect: Effect) -> None:
        with self._changed:
            self._effects.append(effect)

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


class Inotify:
    """The kernel reports each rename into place; none is merged, as each has its own cookie."""

    how = "inotify"

    def __init__(self, directories: Mapping[str, Path], log: EffectLog) -> None:
        import inotify_simple

        self._flags = inotify_simple.flags
        self._inotify = inotify_simple.INotify()
        wanted = self._flags.MOVED_TO | self._flags.CREATE
        self._watched = {
            self._inotify.add_watch(directory, wanted): (service, directory)
            for service, directory in directories.items()
        }
        self._log = log
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="observer-links", daemon=True)
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
                self._seen(*self._watched[event.wd], event.name)

    def _seen(self, service: str, directory: Path, name: str) -> None:
        if name == "current":
            self._log.add(_switched(service, directory))
        elif name.startswith(".fence-"):
            self._log.mark(name)

    def close(self) -> None:
        os.close(self._woken)
        self._thread.join()
        self._inotify.close()
        os.close(self._wake)


class Polling:
    """Where there is no inotify (macOS): compares the link's inode.

    Two moves within 20 ms count as one; `how` says so to whoever reads the grades.
    """

    how = "polling every 20 ms"

    def __init__(self, directories: Mapping[str, Path], log: EffectLog) -> None:
        self._directories = directories
        self._log = log
        self._stop = threading.Event()
        self._links = {service: _identity(d) for service, d in directories.items()}
        self._thread = threading.Thread(target=self._run, name="observer-links", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            for service, directory in self._directories.items():
                fences = [entry.name for entry in directory.glob(".fence-*")]
                seen = _identity(directory)
                if seen != self._links[service]:
                    self._links[service] = seen
                    self._log.add(_switched(service, directory))
                for name in fences:
                    self._log.mark(name)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class Observers:
    """Both observers of one platform, from the moment it is up."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._supervisor = Supervisor(site.supervisor_socket)
        self._numbers = itertools.count(1)
        self._links = EffectLog()
        self._directories = {s: site.releases / s for s in site.blueprint.supervised}
        watch = Inotify if sys.platform == "linux" else Polling
        self._watch: LinkWatch = watch(self._directories, self._links)
        self._events = site.observed / EVENT_LOG
        self._skipped = self._fence_processes()
        self._own_starts: list[tuple[int, int]] = []

    @property
    def how(self) -> Mapping[str, str]:
        """How each kind of effect is seen."""
        return {RELEASE_SWITCHED: self._watch.how, PROCESS_STARTED: "supervisord's event log"}

    def effects(self, *, own: bool = False) -> tuple[Effect, ...]:
        """List every effect since the platform came up; with `own`, the sandbox's as well."""
        self._fence_links()
        end = self._fence_processes()
        seen = [*self._links.all(), *self._starts(self._skipped, end)]
        seen.sort(key=lambda effect: effect.at)
        return tuple(effect for effect in seen if own or not effect.by_sandbox)

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """Claim what happens inside as the sandbox's own doing."""
        self._fence_links()
        first_link, first_line = len(self._links.all()), self._fence_processes()
        try:
            yield
        finally:
            self._fence_links()
            self._links.claim_from(first_link)
            self._own_starts.append((first_line, self._fence_processes()))

    def close(self) -> None:
        self._watch.close()
        self._supervisor.close()

    def _fence_links(self) -> None:
        for directory in self._directories.values():
            fence = directory / f".fence-{next(self._numbers)}"
            fence.touch()
            self._links.wait_for_mark(fence.name)
            fence.unlink()

    def _fence_processes(self) -> int:
        """Wait until the event log holds a mark of ours; return its line number."""
        token = f"fence-{next(self._numbers)}"
        self._supervisor.announce("fence", token)
        deadline = time.monotonic() + FENCE_TIMEOUT_S
        while time.monotonic() < deadline:
            for number, line in enumerate(self._lines()):
                if line.get("type") == "fence" and line["data"] == token:
                    return number
            time.sleep(0.01)
        raise HoldfastError(
            f"supervisord's event log {self._events} did not show the sandbox's mark {token} "
            f"within {FENCE_TIMEOUT_S:.0f} s, so its counts are not complete; run it again"
        )

    def _lines(self) -> list[dict[str, str]]:
        lines = self._events.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _starts(self, begin: int, end: int) -> Iterator[Effect]:
        targets = {process_name(s, r): instance_name(s, r) for s, r in self._site.processes()}
        for number, line in enumerate(self._lines()[:end]):
            if number < begin or line["event"] != "PROCESS_STATE_STARTING":
                continue
            target = targets.get(line["processname"])
            if target is not None:
                own = any(first <= number <= last for first, last in self._own_starts)
                yield Effect(
                    at=parse_at(line["at"]),
                    kind=PROCESS_STARTED,
                    target=target,
                    detail=f"from {line['from_state']}",
                    by_sandbox=own,
                )


def duplicates(effects: Iterable[Effect], performed: Mapping[tuple[str, str], int]) -> int:
    """Count effects beyond those that were performed on purpose, by (kind, target).

    `performed` is how many steps the ledger says were carried out on that target.
    """
    seen = Counter((effect.kind, effect.target) for effect in effects if not effect.by_sandbox)
    return sum(max(0, count - performed.get(key, 0)) for key, count in seen.items())


def _switched(service: str, directory: Path) -> Effect:
    link = directory / "current"
    now_at = str(link.readlink()) if link.is_symlink() else "nothing"
    return Effect(
        at=SystemClock().now(), kind=RELEASE_SWITCHED, target=service, detail=f"now {now_at}"
    )


def _identity(directory: Path) -> tuple[int, int]:
    try:
        status = (directory / "current").lstat()
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_ctime_ns
