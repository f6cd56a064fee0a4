"""A line between a worker and its store or its target, which is cut at the worst moment.

Worst is after the request and before the reply: what was asked for is done, and who asked can't
know it. The other cuts lose the request too, deliver it when nobody waits any more, or keep silent.
Which request is hit comes from the seed; how often can be changed while it runs.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.crash.scene_target import UnreachableError, call

_CHUNK_BYTES = 65_536


class Cut(StrEnum):
    """How a line goes dead."""

    AFTER_REQUEST = "after_request"
    LOST_REQUEST = "lost_request"
    LATE_REQUEST = "late_request"
    SILENCE = "silence"


# The first is what the matrix is about; a late request only makes sense for a request in one piece.
_WEIGHTS: Mapping[Cut, int] = {
    Cut.AFTER_REQUEST: 7,
    Cut.LOST_REQUEST: 1,
    Cut.LATE_REQUEST: 1,
    Cut.SILENCE: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a proxy listens, where it passes to, where it is told what to do."""

    listens: Path
    server: Path
    control: Path
    seed: int = 0
    late: bool = True
    silence_s: float = 1.5


@dataclass(slots=True, kw_only=True)
class Line:
    """One connection through the proxy."""

    proxy: "Proxy"
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    cut: Cut | None = None

    async def carry(self) -> None:
        """Pass bytes both ways until one side ends or the line is cut."""
        ways = [asyncio.create_task(self._requests()), asyncio.create_task(self._replies())]
        with suppress(ConnectionError, OSError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self.hang_up(self.client[1])
        self.hang_up(self.server[1])

    @staticmethod
    def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def _requests(self) -> None:
        while chunk := await self.client[0].read(_CHUNK_BYTES):
            self.cut = self.proxy.draw()
            if self.cut is Cut.LOST_REQUEST:
                return
            if self.cut is Cut.LATE_REQUEST:
                self.hang_up(self.client[1])
                await asyncio.sleep(self.proxy.noise.random() * self.proxy.route.silence_s)
                self.server[1].write(chunk)
                await self.server[1].drain()
                await self.server[0].read(_CHUNK_BYTES)
                return
            self.server[1].write(chunk)
            await self.server[1].drain()
            if self.cut is Cut.SILENCE:
                await asyncio.sleep(self.proxy.route.silence_s)
                return

    async def _replies(self) -> None:
        while chunk := await self.server[0].read(_CHUNK_BYTES):
            if self.cut is Cut.AFTER_REQUEST:
                return
            if self.cut is not None:
                # The other way ends the line, in its own time.
                await asyncio.Event().wait()
            self.client[1].write(chunk)
            await self.client[1].drain()


@dataclass(slots=True, kw_only=True)
class Proxy:
    """All lines to one server. `share` of the requests are hit; 0 is a good line."""

    route: Route
    noise: random.Random
    share: float = 0.0
    cuts: dict[str, int] = field(default_factory=dict)

    def draw(self) -> Cut | None:
        """Say whether this request is hit, and how."""
        if self.noise.random() >= self.share:
            return None
        kinds = [cut for cut in _WEIGHTS if self.route.late or cut is not Cut.LATE_REQUEST]
        (cut,) = self.noise.choices(kinds, [_WEIGHTS[kind] for kind in kinds])
        self.cuts[cut.value] = self.cuts.get(cut.value, 0) + 1
        return cut

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_unix_connection(self.route.server)
        except OSError:
            Line.hang_up(writer)
            return
        await Line(proxy=self, client=(reader, writer), server=server).carry()

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(await reader.readline())
        self.share = asked.get("share", self.share)
        writer.write(json.dumps({"cuts": self.cuts}).encode() + b"\n")
        await writer.drain()
        writer.close()


def run_proxy(route: Route) -> None:
    """Serve until killed."""
    asyncio.run(_serve(Proxy(route=route, noise=random.Random(route.seed))))


async def _serve(proxy: Proxy) -> None:
    servers = []
    for path, handler in ((proxy.route.listens, proxy.accept), (proxy.route.control, proxy.obey)):
        path.parent.mkdir(exist_ok=True)
        unready = path.with_name(f"{path.name}-unready")
        servers.append(await asyncio.start_unix_server(handler, unready))
        unready.rename(path)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def set_share(route: Route, share: float) -> dict[str, Any]:
    """Say how many of the requests are hit from now on; return the cuts so far, by kind."""
    try:
        return dict(call(route.control, 5.0, share=share)["cuts"])
    except (UnreachableError, OSError, ValueError) as error:
        raise RuntimeError(f"the proxy at {route.control} does not answer: {error}") from error
