"""The users of the platform: open-loop traffic per region, and the orders it obeys.

Rule: open loop. A user does not wait for another one's answer, so a slow service
is met by as many requests as a quick one. The generator runs outside supervisord
and writes what users saw, second by second: the platform's own account of pain,
which no service can colour.
"""

import asyncio
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from holdfast.kernel.clock import SystemClock, format_at, parse_at
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.processes import die_with_parent
from holdfast.sandbox.site import GLOBAL, Site, front_name, load_site

CLIENT_TIMEOUT_S = 4.0
REGULARITY = 3.0  # shape of the gaps between requests: 1 is Poisson, more is more even
BURST_SIGMA = 0.12  # log-normal noise of the rate, drawn anew each second
SEEN_FILE = "traffic.jsonl"
RECEIPTS_FILE = "receipts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the generator is told. `surge_until` in RFC 3339; None has no end."""

    surge: float = 1.0
    surge_until: str | None = None
    stopped: bool = False

    def factor(self, now: datetime) -> float:
        if self.stopped:
            return 0.0
        ended = self.surge_until is not None and now >= parse_at(self.surge_until)
        return 1.0 if ended else self.surge


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What the users of one region saw in one second. `refused` is 4xx: their own fault."""

    at: datetime
    region: str
    sent: int
    ok: int
    refused: int
    failed: int
    unreachable: int
    timed_out: int
    mean_ms: float | None

    @property
    def lost(self) -> int:
        return self.failed + self.unreachable + self.timed_out

    @property
    def answered(self) -> int:
        return self.ok + self.refused + self.lost


class Traffic:
    """The owner's handle on the generator."""

    def __init__(self, site: Site) -> None:
        self._control = site.control / "traffic.json"
        self._seen = site.observed / SEEN_FILE
        self._clock = SystemClock()

    def surge(self, factor: float, *, for_s: float | None = None) -> None:
        """Multiply the traffic of all regions, for a while or until told otherwise."""
        until = None if for_s is None else self._clock.now() + timedelta(seconds=for_s)
        self._order(Orders(surge=factor, surge_until=None if until is None else format_at(until)))

    def stop(self) -> None:
        """Send nothing any more."""
        self._order(Orders(stopped=True))

    def resume(self) -> None:
        """Back to the ordinary day."""
        self._order(Orders())

    def seconds(self, *, since: datetime | None = None) -> list[Second]:
        """List what the users of each region saw, second by second, oldest first."""
        return self._read(self._seen, since)

    def receipts(self, *, since: datetime | None = None) -> list[Second]:
        """List the same of those who want a receipt; their region is `global`."""
        return self._read(self._seen.with_name(RECEIPTS_FILE), since)

    def _read(self, file: Path, since: datetime | None) -> list[Second]:
        if not file.exists():
            return []
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        seen = [Second(**{**row, "at": parse_at(row["at"])}) for row in rows]
        return seen if since is None else [second for second in seen if second.at >= since]

    def _order(self, orders: Orders) -> None:
        fresh = self._control.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(orders)), encoding="utf-8")
        fresh.rename(self._control)


def start_traffic(site: Site, link: KeeperLink) -> int:
    argv = [sys.executable, "-m", "holdfast.sandbox.traffic", str(site.file)]
    return link.start(argv, log=site.logs / "traffic.stderr")


def rate(shape: Blueprint, region: str, elapsed_s: float) -> float:
    """Requests per second of `region`: the daily shape, each region at its own time of day."""
    phase = shape.regions.index(region) / len(shape.regions)
    turn = 2 * math.pi * (elapsed_s / shape.day_s + phase / 3)
    return shape.requests_per_s * (1.0 + shape.day_depth * math.sin(turn))


def basket(shape: Blueprint, rng: random.Random) -> dict[str, Any]:
    """Draw what one user wants. An item that does not exist is the user's error."""
    unknown = rng.random() < shape.client_errors
    coupon = None if rng.random() < shape.failing_share else {"percent": rng.choice((5, 10, 20))}
    item = 9999 if unknown else rng.randint(1, 200)
    return {"item": item, "quantity": rng.randint(1, 4), "coupon": coupon}


class _Line:
    """Keep-alive HTTP/1.1 to one address, as little of it as a generator needs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, document: Mapping[str, Any]) -> int:
        body = json.dumps(document).encode()
        reader, writer = await self._connection()
        try:
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(head))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    spent_s: float = 0.0


class Generator:
    """All regions' users."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.shape = site.blueprint
        self.clock = SystemClock()
        self.began = time.monotonic()
        self.orders = Orders()
        self.tallies = {place: _Tally() for place in (*self.shape.regions, GLOBAL)}
        self.under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_orders())
            group.create_task(self._write_seconds())
            for region in self.shape.regions:
                group.create_task(self._users(region))
            group.create_task(self._receipts())

    async def _users(self, region: str) -> None:
        rng = random.Random(f"{self.shape.seed}/{region}/{os.getpid()}")
        line = _Line(self.site.ports[front_name(region)])
        burst, second = 1.0, -1
        due = time.monotonic()
        while True:
            elapsed = time.monotonic() - self.began
            if int(elapsed) != second:
                burst, second = rng.lognormvariate(0.0, BURST_SIGMA), int(elapsed)
            wanted = (
                rate(self.shape, region, elapsed) * burst * self.orders.factor(self.clock.now())
            )
            if wanted <= 0.0:
                due = time.monotonic() + 0.1
            else:
                due += rng.gammavariate(REGULARITY, 1.0 / (REGULARITY * wanted))
                self._send(region, line, "/checkout", basket(self.shape, rng))
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _receipts(self) -> None:
        """Ask for receipts, as evenly as a till does; they know neither day nor surge."""
        rng = random.Random(f"{self.shape.seed}/receipts/{os.getpid()}")
        line = _Line(self.site.port(self.shape.printer, GLOBAL))
        due = time.monotonic()
        while True:
            due += rng.gammavariate(REGULARITY, 1.0 / (REGULARITY * self.shape.receipts_per_s))
            if not self.orders.stopped:
                self._send(GLOBAL, line, "/print", {"order": rng.randint(1, 10**9)})
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _send(self, place: str, line: _Line, path: str, wanted: Mapping[str, Any]) -> None:
        task = asyncio.create_task(self._one(place, line, path, wanted))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _one(self, region: str, line: _Line, path: str, wanted: Mapping[str, Any]) -> None:
        tally, began = self.tallies[region], time.perf_counter()
        tally.counts["sent"] += 1
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                code = await line.post(path, wanted)
        except TimeoutError:
            outcome = "timed_out"
        except (OSError, EOFError, ValueError, IndexError):
            outcome = "unreachable"
        else:
            outcome = "ok" if code < 400 else "refused" if code < 500 else "failed"
        tally = self.tallies[region]
        tally.counts[outcome] += 1
        tally.spent_s += time.perf_counter() - began

    async def _watch_orders(self) -> None:
        file, seen = self.site.control / "traffic.json", 0
        while True:
            try:
                changed = file.stat().st_mtime_ns
                if changed != seen:
                    self.orders = Orders(**json.loads(file.read_text(encoding="utf-8")))
                    seen = changed
            except FileNotFoundError:
                pass
            await asyncio.sleep(0.1)

    async def _write_seconds(self) -> None:
        observed = self.site.observed
        with (
            (observed / SEEN_FILE).open("ab", buffering=0) as seen,
            (observed / RECEIPTS_FILE).open("ab", buffering=0) as receipts,
        ):
            while True:
                await asyncio.sleep(1.0)
                at = format_at(self.clock.now())
                lines = [self._line(at, region) for region in self.shape.regions]
                seen.write("".join(lines).encode())
                receipts.write(self._line(at, GLOBAL).encode())

    def _line(self, at: str, region: str) -> str:
        tally, self.tallies[region] = self.tallies[region], _Tally()
        names = ("sent", "ok", "refused", "failed", "unreachable", "timed_out")
        counts = {name: tally.counts[name] for name in names}
        answered = sum(counts.values()) - counts["sent"]
        mean_ms = round(1000 * tally.spent_s / answered, 2) if answered else None
        return json.dumps({"at": at, "region": region, **counts, "mean_ms": mean_ms}) + "\n"


def main() -> None:
    die_with_parent()
    uvloop.run(Generator(load_site(Path(sys.argv[1]))).run())


if __name__ == "__main__":
    main()
