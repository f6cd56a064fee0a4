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
import time
from collections.abc import Iterator, Mapping

from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import instance_name
from holdfast.kernel.clock import parse_at
from holdfast.sandbox.cache_observers import KeyspaceWatch
from holdfast.sandbox.database_observers import HOW as PROMOTIONS_SEEN_BY
from holdfast.sandbox.database_observers import promotions
from holdfast.sandbox.effects import (
    CACHE_CLEARED,
    DB_PROMOTED,
    FLAG_CHANGED,
    INSTANCE_STARTED,
    POOL_DRAINED,
    POOL_READY,
    PROCESS_STARTED,
    QUEUE_PARKED,
    RELEASE_SWITCHED,
    TEMP_CLEARED,
    Effect,
)
from holdfast.sandbox.file_observers import (
    FENCE,
    FENCE_TIMEOUT_S,
    EffectLog,
    Place,
    watch_places,
)
from holdfast.sandbox.pool_observers import HOW as POOL_SEEN_BY
from holdfast.sandbox.pool_observers import fenced, pool_effects
from holdfast.sandbox.site import Site, process_name
from holdfast.sandbox.supervisor import EVENT_LOG, Supervisor, extras

EXPORTS = "exports-*.part"  # what the forgotten export leaves in the temp directory


class Observers:
    """All observers of one platform, from the moment it is up."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._supervisor = Supervisor(site.supervisor_socket)
        self._numbers = itertools.count(1)
        self._log = EffectLog()
        self._places = _places(site)
        self._files = watch_places(self._places, self._log)
        self._keys = KeyspaceWatch(site, self._log)
        self._events = site.observed / EVENT_LOG
        self._skipped = self._fence_processes()
        self._own_starts: list[tuple[int, int]] = []
        self._own_orders: list[tuple[int, int]] = []

    @property
    def how(self) -> Mapping[str, str]:
        """How each kind of effect is seen."""
        processes = "supervisord's event log"
        return {
            RELEASE_SWITCHED: self._files.how,
            FLAG_CHANGED: self._files.how,
            TEMP_CLEARED: self._files.how,
            CACHE_CLEARED: self._keys.how,
            QUEUE_PARKED: self._keys.how,
            PROCESS_STARTED: processes,
            INSTANCE_STARTED: processes,
            DB_PROMOTED: PROMOTIONS_SEEN_BY,
            POOL_DRAINED: POOL_SEEN_BY,
            POOL_READY: POOL_SEEN_BY,
        }

    def effects(self, *, own: bool = False) -> tuple[Effect, ...]:
        """List every effect since the platform came up; with `own`, the sandbox's as well."""
        self._fence_log()
        end = self._fence_processes()
        seen = [*self._log.all(), *self._starts(self._skipped, end), *promotions(self._site)]
        seen += pool_effects(self._site, self._own_orders)
        seen.sort(key=lambda effect: effect.at)
        return tuple(effect for effect in seen if own or not effect.by_sandbox)

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """Claim what happens inside as the sandbox's own doing."""
        self._fence_log()
        first_effect, first_line = len(self._log.all()), self._fence_processes()
        first_order = fenced(self._site)
        try:
            yield
        finally:
            self._fence_log()
            self._log.claim_from(first_effect)
            self._own_starts.append((first_line, self._fence_processes()))
            self._own_orders.append((first_order, fenced(self._site)))

    def close(self) -> None:
        self._files.close()
        self._keys.close()
        self._supervisor.close()

    def _fence_log(self) -> None:
        for place in self._places:
            fence = place.directory / f"{FENCE}{next(self._numbers)}"
            fence.touch()
            self._log.wait_for_mark(fence.name)
            fence.unlink(missing_ok=True)  # whoever clears the temp directory may take it along
        self._keys.fence(f"{FENCE}{next(self._numbers)}")

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
        targets = _started_targets(self._site)
        for number, line in enumerate(self._lines()[:end]):
            if number < begin or line["event"] != "PROCESS_STATE_STARTING":
                continue
            name = line["processname"]
            if name in targets:
                kind, target = targets[name]
                extra = f"{name}, " if kind == INSTANCE_STARTED else ""
                yield Effect(
                    at=parse_at(line["at"]),
                    kind=kind,
                    target=target,
                    detail=f"{extra}from {line['from_state']}",
                    by_sandbox=any(first <= number <= last for first, last in self._own_starts),
                )


def _started_targets(site: Site) -> dict[str, tuple[str, str]]:
    """Say for each of supervisord's programs what its start is, and of which target."""
    first = {
        process_name(s, r): (PROCESS_STARTED, instance_name(s, r)) for s, r in site.processes()
    }
    further = {name: (INSTANCE_STARTED, instance_name(s, r)) for name, s, r in extras(site)}
    return first | further


def _places(site: Site) -> tuple[Place, ...]:
    shape, flags = site.blueprint, site.flag_file
    links = (
        Place(directory=site.releases / s, kind=RELEASE_SWITCHED, target=s, name="current")
        for s in shape.regional
    )
    return (
        *links,
        Place(directory=flags.parent, kind=FLAG_CHANGED, target=shape.api, name=flags.name),
        Place(directory=site.temp, kind=TEMP_CLEARED, target=shape.printer, gone=EXPORTS),
    )
