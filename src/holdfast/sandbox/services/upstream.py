"""The pooler's way to whichever server is the primary, and never to one that was.

Rule: no connection is used before it has been asked, itself, whether its server takes
writes and on which timeline. A server on a lower timeline than the highest that was ever seen
is a primary of the past: it is refused (fenced), however well it answers. So is one below the
bar, which whoever promotes another server sets beforehand.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from holdfast.kernel import HoldfastError
from holdfast.sandbox.services import wire
from holdfast.sandbox.services.jsonlog import JsonLog

OPEN_TIMEOUT_S = 1.0
LOOK_EVERY_S = 1.0
SEARCH_EVERY_S = 0.5
# 0 for a server in recovery. The control file tells a new timeline only after a checkpoint.
STANDING = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE"
    " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END"
)


class ServerRefusedError(HoldfastError):
    """A server answered, but not so that its connection could be used."""


class NoPrimaryError(HoldfastError):
    """No server takes writes now."""


class Listener(Protocol):
    """Whoever uses a line at the moment."""

    def from_server(self, data: bytes) -> None: ...

    def transaction_ended(self, status: bytes) -> None: ...

    def server_lost(self) -> None: ...


class Line(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, server: Path, startup: Mapping[str, str]) -> None:
        self.server = server
        self.startup = startup
        self.key = b""
        self.parameters: dict[str, str] = {}
        self.listener: Listener | None = None
        self.on_lost: Callable[[Line], None] | None = None
        self.transport: asyncio.Transport
        self._frames = wire.Frames()
        self._answer: list[tuple[int, bytes]] = []
        self._asked: asyncio.Future[list[tuple[int, bytes]]] | None = None

    @property
    def usable(self) -> bool:
        return not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        frames = self._frames.feed(data)
        if self.listener is None:
            self._collect(frames)
            return
        self.listener.from_server(data)
        for kind, body in frames:
            if kind == wire.READY and self.listener is not None:
                self.listener.transaction_ended(body[5:6])

    def _collect(self, frames: Sequence[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            self._answer.append((kind, body))
            if kind == wire.PARAMETER:
                name, value = wire.pair(body)
                self.parameters[name] = value
            if kind in (wire.READY, wire.ERROR) and self._asked and not self._asked.done():
                self._asked.set_result(self._answer)
                self._answer = []

    def connection_lost(self, _error: Exception | None) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(ConnectionResetError("the server closed the connection"))
        if self.on_lost is not None:
            self.on_lost(self)
        if self.listener is not None:
            self.listener.server_lost()

    async def ask(self, data: bytes) -> list[tuple[int, bytes]]:
        """Send something and collect the frames up to ReadyForQuery or an error."""
        self._asked, self._answer = asyncio.get_running_loop().create_future(), []
        self.transport.write(data)
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            frames = await self._asked
        if frames[-1][0] == wire.ERROR:
            raise ServerRefusedError(f"{self.server} said {wire.message_of(frames[-1][1])}")
        return frames

    async def timeline(self) -> int:
        """Ask on which timeline the server takes writes; 0 when it takes none."""
        frames = await self.ask(wire.query(STANDING))
        return int(next(wire.only_column(body) for kind, body in frames if kind == wire.ROW))

    def close(self) -> None:
        """Drop the connection; the server rolls back what was open."""
        self.transport.abort()


async def open_line(server: Path, parameters: Mapping[str, str]) -> Line:
    """Connect and log in as the client would. Only trust is spoken: the socket is private."""
    loop = asyncio.get_running_loop()
    _, line = await loop.create_unix_connection(lambda: Line(server, parameters), str(server))
    try:
        frames = await line.ask(wire.startup(parameters))
    except BaseException:
        line.close()
        raise
    line.key = next(body[5:] for kind, body in frames if kind == wire.BACKEND_KEY)
    return line


class Upstream:
    """Knows the primary of now. `parameters` are those of the pooler's own connections."""

    def __init__(
        self,
        servers: Sequence[Path],
        parameters: Mapping[str, str],
        memory: Path,
        bar: Path,
        log: JsonLog,
    ) -> None:
        self._servers = tuple(servers)
        self._parameters = dict(parameters)
        self._memory = memory
        self._bar = bar
        self._log = log
        self._watched: dict[Path, Line] = {}
        self._look_now = asyncio.Event()
        self.found = asyncio.Event()
        self.highest = _remembered(memory)
        self.primary: Path | None = None
        self.fenced: frozenset[Path] = frozenset()
        self.greeting: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None

    async def watch(self) -> None:
        """Look at every server again and again, at once when a connection was lost."""
        while True:
            self._look_now.clear()
            await self._look()
            wait_s = LOOK_EVERY_S if self.primary is not None else SEARCH_EVERY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._look_now.wait()

    async def open(self, parameters: Mapping[str, str]) -> Line:
        """Open a connection to the primary that has been asked whether it is one.

        Raises NoPrimaryError, ServerRefusedError, OSError or TimeoutError.
        """
        server = self.primary
        if server is None:
            raise NoPrimaryError("no server takes writes now")
        try:
            line = await open_line(server, parameters)
        except OSError:  # TimeoutError is one
            self.look_now()
            raise
        try:
            standing = await line.timeline()
        except BaseException:
            line.close()
            raise
        if standing != self.highest or standing < _remembered(self._bar):
            line.close()
            self.look_now()
            raise NoPrimaryError(f"{server} is not the primary that it was")
        return line

    def look_now(self) -> None:
        self._look_now.set()

    async def _look(self) -> None:
        seen = await asyncio.gather(*map(self._standing, self._servers))
        standings = dict(zip(self._servers, seen, strict=True))
        best = max(self._servers, key=lambda server: standings[server])
        if standings[best] > self.highest:
            self.highest = standings[best]
            _remember(self._memory, self.highest)  # before anything is written over there
        least = max(self.highest, _remembered(self._bar))
        takes = standings[best] > 0 and standings[best] >= least
        self._fence({s for s, found in standings.items() if 0 < found < least})
        self._use(best if takes else None)

    async def _standing(self, server: Path) -> int:
        line = self._watched.get(server)
        try:
            if line is None or not line.usable:
                line = self._watched[server] = await open_line(server, self._parameters)
                line.on_lost = lambda _line: self.look_now()
            return await line.timeline()
        except (OSError, ServerRefusedError):  # TimeoutError is an OSError
            if line is not None:
                line.on_lost = None
                line.close()
            return 0

    def _use(self, server: Path | None) -> None:
        if server is None:
            self.found.clear()
        else:
            self.greeting = self._watched[server].parameters
            self.found.set()
        if server == self.primary:
            return
        self.primary = server
        if server is None:
            self._log.error("no server takes writes", highest_timeline=self.highest)
        else:
            self._log.info("primary found", server=str(server), timeline=self.highest)
        self.on_change()

    def _fence(self, stale: set[Path]) -> None:
        for server in stale - self.fenced:
            self._log.error(
                "fenced: a primary of the past is refused",
                server=str(server),
                highest_timeline=self.highest,
            )
        self.fenced = frozenset(stale)


def _remembered(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def _remember(file: Path, timeline: int) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(str(timeline), encoding="ascii")
    fresh.replace(file)
