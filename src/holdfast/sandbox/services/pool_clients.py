"""The clients of the pooler: each has a server connection for one transaction at a time.

Rule: from the first frame of a transaction to its end and not a moment longer, so a client that
opens a transaction and goes quiet holds a connection for as long as it stays. A client that leaves
in the middle has its server connection closed; one whose server is lost is told and closed.
"""

import asyncio
import contextlib
import itertools
import secrets
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import cast

from holdfast.kernel import HoldfastError
from holdfast.sandbox.services import wire
from holdfast.sandbox.services.jsonlog import JsonLog
from holdfast.sandbox.services.limiting import WAIT_S, ServerPool
from holdfast.sandbox.services.upstream import Line

HELD_AFTER_S = 1.0
LOG_EVERY_S = 1.0


class Pooler:
    """All clients, and what they share."""

    def __init__(
        self, pool: ServerPool, name: str, log: JsonLog, waited: Callable[[float], None]
    ) -> None:
        self.pool = pool
        self.name = name
        self.log = log
        self.waited = waited
        self.transactions = 0
        self.clients: set[Client] = set()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def new_key(self) -> bytes:
        return struct.pack("!II", next(self._numbers), secrets.randbits(32))

    def held(self) -> list["Client"]:
        """List the clients that are in a transaction and have gone quiet."""
        before = time.monotonic() - HELD_AFTER_S
        return [client for client in tuple(self.clients) if client.holds_since(before)]

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel(self, key: bytes) -> None:
        """Pass on a client's wish to stop its statement."""
        for client in self.clients:
            if client.key == key and client.line is not None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(str(client.line.server))
                    writer.write(wire.cancel(client.line.key))
                    writer.close()
                return

    async def tell_of_the_held(self) -> None:
        """Write to the log whose transactions are held open, whenever that has changed."""
        told: Counter[str] = Counter()
        while True:
            held = Counter(client.application for client in self.held())
            for application, count in (held - told).items():
                self.log.warning(
                    "transactions are held open by a client that is quiet",
                    application=application,
                    held=held[application],
                    more=count,
                    pool_size=self.pool.size,
                    waiting=self.pool.waiting,
                )
            told = held
            await asyncio.sleep(LOG_EVERY_S)


class Client(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, pooler: Pooler) -> None:
        self.pooler = pooler
        self.key = b""
        self.application = "unnamed"
        self.line: Line | None = None
        self.transport: asyncio.Transport
        self._parameters: Mapping[str, str] | None = None
        self._head = b""
        self._frames = wire.Frames()
        self._pending: list[bytes] = []
        self._asked = 0  # ReadyForQuery that are still to come
        self._unsynced = False
        self._status = wire.IDLE
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.pooler.clients.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.pooler.clients.discard(self)
        if self._task is not None:
            self._task.cancel()
        if self.line is not None:
            line, self.line = self.line, None
            self.pooler.pool.drop(line)

    def data_received(self, data: bytes) -> None:
        try:
            if self._parameters is None:
                self._begin(self._head + data)
            else:
                self._hear(self._frames.feed(data))
        except (HoldfastError, ValueError) as error:
            self._end(wire.error("08P01", str(error), severity="FATAL"))

    def pause_writing(self) -> None:
        if self.line is not None:
            self.line.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.line is not None:
            self.line.transport.resume_reading()

    def holds_since(self, before: float) -> bool:
        """Whether a transaction is open and nothing was asked since `before`."""
        quiet = self.line is not None and self._asked == 0 and not self._unsynced
        return quiet and self._status != wire.IDLE and self._heard_at < before

    # --- the first words --------------------------------------------------

    def _begin(self, data: bytes) -> None:
        """Read what a connection begins with, which may be a question about encryption first."""
        while (first := wire.untyped(data)) is not None:
            code, body, data = first
            match code:
                case wire.SSL_REQUEST | wire.GSS_REQUEST:
                    self.transport.write(b"N")
                case wire.CANCEL_REQUEST:
                    self.pooler.spawn(self.pooler.cancel(body))
                    self.transport.close()
                    return
                case wire.PROTOCOL:
                    self._introduced(wire.startup_parameters(body))
                    self._hear(self._frames.feed(data))
                    return
                case _:
                    told = f"protocol {code >> 16}.{code & 0xFFFF} is not spoken here, only 3.0"
                    self._end(wire.error("0A000", told, severity="FATAL"))
                    return
        self._head = data

    def _introduced(self, parameters: dict[str, str]) -> None:
        self.application = parameters.get("application_name", self.application)
        self._parameters = {**parameters, "application_name": self.pooler.name}
        self.key = self.pooler.new_key()
        self._task = self.pooler.spawn(self._greet(parameters))

    async def _greet(self, parameters: Mapping[str, str]) -> None:
        upstream = self.pooler.pool.upstream
        try:
            async with asyncio.timeout(WAIT_S):
                while not upstream.greeting:
                    await upstream.found.wait()
        except TimeoutError:
            text = "no server takes writes"
            self._end(wire.error(wire.CANT_CONNECT_NOW, text, severity="FATAL"))
            return
        told = {k: parameters.get(k, v) for k, v in upstream.greeting.items()}
        self.transport.write(wire.greeting(told.items(), self.key))
        self._task = None
        if self._parameters is not None:
            self.pooler.pool.fill(self._parameters)
        self._hear([])  # what came meanwhile has waited

    # --- transactions -----------------------------------------------------

    def _hear(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            if kind == wire.TERMINATE:
                self.transport.close()
                return
            if kind in wire.SYNC_POINTS:
                self._asked += 1
                self._unsynced = False
            elif kind in wire.EXTENDED:
                self._unsynced = True
            self._pending.append(body)
        self._heard_at = time.monotonic()
        if not self._pending:
            return
        if self.line is not None:
            self._forward(self.line)
        elif self._task is None and self._parameters is not None:
            line = self.pooler.pool.take_now(self._parameters)
            if line is None:
                self._task = self.pooler.spawn(self._wait_for_line(self._parameters))
            else:
                self.pooler.waited(0.0)
                self._use(line)

    async def _wait_for_line(self, parameters: Mapping[str, str]) -> None:
        began = time.monotonic()
        try:
            line = await self.pooler.pool.take(parameters)
        except TimeoutError:
            self._refuse()
        except HoldfastError as error:
            self._refuse(str(error))
        else:
            self._use(line)
        finally:
            self._task = None
            self.pooler.waited(time.monotonic() - began)

    def _use(self, line: Line) -> None:
        self.line = line
        line.listener = self
        self._forward(line)

    def _forward(self, line: Line) -> None:
        line.transport.write(b"".join(self._pending))
        self._pending.clear()

    def _refuse(self, text: str = "") -> None:
        """Answer what was asked with an error. Half a question ends the connection."""
        pool = self.pooler.pool
        if pool.upstream.primary is None:
            code, text = wire.CANT_CONNECT_NOW, text or "no server takes writes"
        else:
            full = f"none of the pool's {pool.size} connections became free in time"
            code, text = wire.TOO_MANY_CONNECTIONS, text or full
        if self._unsynced:
            self._end(wire.error(code, text, severity="FATAL"))
            return
        self._pending.clear()
        asked, self._asked = self._asked, 0
        self.transport.write((wire.error(code, text) + wire.ready()) * asked)

    def _end(self, last_words: bytes) -> None:
        self.transport.write(last_words)
        self.transport.close()

    # --- what the server says ---------------------------------------------

    def from_server(self, data: bytes) -> None:
        self.transport.write(data)

    def transaction_ended(self, status: bytes) -> None:
        """Note a ReadyForQuery; outside a transaction the connection goes to the next in line."""
        self._asked -= 1
        self._status = status
        if status == wire.IDLE and self._asked == 0 and not self._unsynced and self.line:
            line, self.line = self.line, None
            line.transport.resume_reading()
            self.pooler.transactions += 1
            self.pooler.pool.give_back(line)

    def server_lost(self) -> None:
        """End this client's connection with its server's: its transaction is gone."""
        if self.line is not None:
            line, self.line = self.line, None
            self.pooler.pool.drop(line)
        text = "the server closed the connection in the middle of a transaction"
        self._end(wire.error(wire.CONNECTION_FAILURE, text, severity="FATAL"))
