"""Faults of single services: a full disk, a slow consumer, a hung process, one that comes and goes.

Rule: as in `faults`: each is done from outside and for real, and nothing in a service is switched.
Which one is hit follows from the blueprint's seed.
"""

import contextlib
import random
import signal
import socket
import threading
import time
import urllib.request

import psycopg
import valkey

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox import releases
from holdfast.sandbox.breakage import Lasting, Victim, same_process
from holdfast.sandbox.exposed import parse_exposition
from holdfast.sandbox.faults import (
    BAD_RUNBOOK,
    DISK_FULL,
    FLAPPING,
    MEMORY_LEAK,
    REGIONAL,
    Injected,
)
from holdfast.sandbox.processes import started_at
from holdfast.sandbox.services.scratch import Scratch
from holdfast.sandbox.site import Site, process_name

FILL_S = 2.0
EXPORT_FILES = 20
ROOM_LEFT_BYTES = 20_000  # less than any receipt's draft needs
KEPT_BYTES_MAX = 220_000_000  # the slow client gives up before the machine does
# Long enough for a recovery to be proven, so that the trouble comes back after the end.
LIVES_S = (13.0, 15.0)
_CLEAR_BATCH = 100


class DiskFull:
    """A forgotten export job fills the printer's temp directory, once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.injected = Injected(
            fault=DISK_FULL,
            injected_at=SystemClock().now(),
            entity=site.blueprint.printer,
            detail={"directory": str(site.temp)},
        )
        self._export = Lasting("export", self._write)

    def _write(self, over: threading.Event) -> None:
        limit = self._site.blueprint.temp_limit_bytes
        scratch, number = Scratch(self._site.temp, limit), 0
        while (room := limit - scratch.used()) > ROOM_LEFT_BYTES and not over.is_set():
            number += 1
            size = min(limit // EXPORT_FILES, room)
            name = f"exports-{number:03d}.part"
            with contextlib.suppress(OSError):  # a receipt took the room meanwhile: look again
                scratch.write(name, b"order;item;total\n" * (size // 17))
            over.wait(FILL_S / EXPORT_FILES)

    def release(self) -> None:
        self._export.end()

    def heal(self) -> None:
        for part in self._site.temp.glob("exports-*.part"):
            part.unlink(missing_ok=True)


class MemoryLeak:
    """A client subscribes to one API's feed and stops reading: the API keeps it all."""

    def __init__(self, site: Site, *, region: str | None = None) -> None:
        shape = site.blueprint
        chosen = region or _draw(site, "feed").choice(shape.regions)
        self._page = site.url(shape.api, chosen, "/metrics")
        self._name = shape.metrics["memory"]
        self._line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._line.connect(("127.0.0.1", site.port(shape.api, chosen)))
        self._line.sendall(b"GET /feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.injected = Injected(
            fault=MEMORY_LEAK, injected_at=SystemClock().now(), entity=shape.api, region=chosen
        )
        self._watch = Lasting("slow-client", self._give_up_in_time)

    def _give_up_in_time(self, over: threading.Event) -> None:
        first = None
        while not over.wait(1.0):
            with contextlib.suppress(OSError, KeyError):
                now = self._memory()
                first = now if first is None else first
                if now - first > KEPT_BYTES_MAX:
                    self._line.close()
                    return

    def _memory(self) -> float:
        with urllib.request.urlopen(self._page, timeout=2.0) as page:  # noqa: S310 - loopback, ours
            return parse_exposition(page.read().decode())[self._name]

    def release(self) -> None:
        self._watch.end()
        self._line.close()

    def heal(self) -> None:
        """Nothing is left to undo: the API forgets with the connection."""


class Regional:
    """The API of one region hangs: its process is there, its port accepts, nothing answers."""

    def __init__(self, site: Site, *, region: str | None = None) -> None:
        api = site.blueprint.api
        chosen = region or _draw(site, "hang").choice(site.blueprint.regions)
        self._site, self._name = site, process_name(api, chosen)
        with Victim(site, self._name) as victim:
            self._pid = victim.send(signal.SIGSTOP)
        self._mark = started_at(self._pid)
        self.injected = Injected(
            fault=REGIONAL,
            injected_at=SystemClock().now(),
            entity=api,
            region=chosen,
            detail={"process": self._name, "pid": str(self._pid)},
        )

    def release(self) -> None:
        """End nothing: a stopped process is killed as any other."""

    def heal(self) -> None:
        with Victim(self._site, self._name) as victim:
            if same_process(self._pid, self._mark):
                victim.send(signal.SIGCONT)
            victim.start()


class Flapping:
    """One process is killed again some seconds after each time that it came back."""

    def __init__(
        self,
        site: Site,
        *,
        service: str | None = None,
        region: str | None = None,
        lives_s: tuple[float, float] = LIVES_S,
    ) -> None:
        self._site, self._rng, self._lives_s = site, _draw(site, "flap"), lives_s
        service = service or self._rng.choice(site.blueprint.regional)
        region = region or self._rng.choice(site.blueprint.regions)
        self._name = process_name(service, region)
        self.injected = Injected(
            fault=FLAPPING,
            injected_at=SystemClock().now(),
            entity=service,
            region=region,
            detail={"process": self._name},
        )
        with Victim(site, self._name) as victim:
            victim.send(signal.SIGKILL)
        self._killer = Lasting("killer", self._kill_again)

    def _kill_again(self, over: threading.Event) -> None:
        with Victim(self._site, self._name) as victim:
            _wait_until_seen(victim, over)
            while not over.wait(0.2):
                if victim.pid is not None and not over.wait(self._rng.uniform(*self._lives_s)):
                    with contextlib.suppress(HoldfastError):  # somebody else was quicker
                        victim.send(signal.SIGKILL)
                    _wait_until_seen(victim, over)

    def release(self) -> None:
        self._killer.end()

    def heal(self) -> None:
        with Victim(self._site, self._name) as victim:
            victim.start()


class BadRunbook:
    """A harmless release goes out while a migration breaks a third of the prices."""

    def __init__(self, site: Site) -> None:
        self._site, service = site, site.blueprint.api
        at, before = SystemClock().now(), releases.current_version(site, service)
        version = releases.deploy(site, at, summary="new colours on the receipt")
        with psycopg.connect(site.primary_dsn()) as connection:
            connection.execute("ALTER TABLE items ALTER COLUMN price DROP NOT NULL")
            connection.execute("ALTER TABLE items ADD COLUMN old_price integer")
            connection.execute("UPDATE items SET old_price = price")
            connection.execute("UPDATE items SET price = NULL WHERE id % 3 = 0")
        self._forget_prices()
        detail = {"version": version, "previous_version": before}
        self.injected = Injected(
            fault=BAD_RUNBOOK, injected_at=at, entity=site.blueprint.database, detail=detail
        )

    def _forget_prices(self) -> None:
        """Let nobody live on the prices of a moment ago, as any deploy of this shop does."""
        with valkey.Valkey(unix_socket_path=str(self._site.cache_socket)) as cache:
            pattern = f"{self._site.blueprint.price_prefix}*"
            for key in cache.scan_iter(pattern, count=_CLEAR_BATCH):
                cache.unlink(key)

    def release(self) -> None:
        """End nothing: what is broken is data."""

    def heal(self) -> None:
        with psycopg.connect(self._site.primary_dsn()) as connection:
            connection.execute("UPDATE items SET price = old_price")
            connection.execute("ALTER TABLE items DROP COLUMN old_price")
            connection.execute("ALTER TABLE items ALTER COLUMN price SET NOT NULL")
        self._forget_prices()
        previous = self.injected.detail["previous_version"]
        releases.switch(self._site, self._site.blueprint.api, previous)


def _draw(site: Site, what: str) -> random.Random:
    return random.Random(f"{what}/{site.blueprint.seed}")


def _wait_until_seen(victim: Victim, over: threading.Event) -> None:
    """Return when supervisord has noticed that the process ended."""
    deadline = time.monotonic() + 5.0
    while victim.pid is not None and time.monotonic() < deadline:
        if over.wait(0.02):
            return
