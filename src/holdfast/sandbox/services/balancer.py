"""The sandbox's own load balancer: it stands before the API and takes a server out when told to.

Rule: it is no HAProxy and does not pretend to be one (its name and version say so). It speaks a
small part of HAProxy's runtime socket: `show info`, `show servers state`, `show stat`, and
`set server BACKEND/NAME state|weight`. Users of a region go to the server of that region while it
serves, and to another one when it was taken out; the health of a server is not looked at, so
nothing moves unless somebody moves it. Every order of state is written down before it is answered.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from holdfast.sandbox.processes import die_with_parent
from holdfast.sandbox.services.jsonlog import JsonLog
from holdfast.sandbox.services.requests import BAD_GATEWAY, UNAVAILABLE, complete
from holdfast.sandbox.site import GLOBAL, Site, bound_socket, front_name, load_site

NAME = "holdfast sandbox balancer (not HAProxy)"
DRAINED = 0x08  # the bit that HAProxy calls FORCED_DRAIN
MAINTENANCE = 0x01
UP = 2
WEIGHT_MAX = 256
LINE_BYTES_MAX = 16_384
STATES = {"ready": 0, "drain": DRAINED, "maint": MAINTENANCE}
_COLUMNS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_port"
)


@dataclass(slots=True)
class Server:
    """One server: the API of one region."""

    name: str
    port: int
    admin: int = 0
    weight: int = 1
    since: float = 0.0
    sent: int = 0
    idle: "list[Upstream]" = field(default_factory=list)

    @property
    def serves(self) -> bool:
        return not self.admin and self.weight > 0


class Backend:
    """All servers, and which one is next for whom."""

    def __init__(self, name: str, servers: tuple[Server, ...], log: JsonLog) -> None:
        self.name = name
        self.servers = {server.name: server for server in servers}
        self._log = log
        self._turn = 0

    def choose(self, home: str) -> Server | None:
        """Give the server of the user's own region, or another one that serves, in turn."""
        own = self.servers[home]
        if own.serves:
            return own
        serving = [server for server in self.servers.values() if server.serves]
        if not serving:
            return None
        self._turn += 1
        return serving[self._turn % len(serving)]

    def set_state(self, server: Server, word: str) -> None:
        self._log.info("state ordered", server=server.name, state=word, before=server.admin)
        server.admin = STATES[word]
        server.since = asyncio.get_running_loop().time()

    def set_weight(self, server: Server, weight: int) -> None:
        self._log.info("weight ordered", server=server.name, weight=weight, before=server.weight)
        server.weight = weight


class Upstream(asyncio.Protocol):
    """One kept connection to a server, used by one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._answer: Callable[[bytes], None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        found = complete(self._buffer)
        if found is None or self._answer is None:
            return
        answer, self._answer = self._answer, None
        message, self._buffer = self._buffer[:found], self._buffer[found:]
        self._server.idle.append(self)
        answer(message)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self._server.idle:
            self._server.idle.remove(self)
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer(BAD_GATEWAY)

    def drop(self) -> None:
        """Give up: whoever asked has gone."""
        self._answer = None
        self.transport.abort()


class User(asyncio.Protocol):
    """One connection of a user. Each request is sent on by itself, so a drain counts at once."""

    def __init__(self, backend: Backend, home: str) -> None:
        self._backend = backend
        self._home = home
        self._buffer = b""
        self._busy: Upstream | None = None
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._busy is not None:
            self._busy.drop()

    def _next(self) -> None:
        end = complete(self._buffer)
        if end is None or self._busy is not None or self._task is not None:
            return
        request, self._buffer = self._buffer[:end], self._buffer[end:]
        server = self._backend.choose(self._home)
        if server is None:
            self._answered(UNAVAILABLE)
        elif server.idle:
            server.sent += 1
            self._ask(server.idle.pop(), request)
        else:
            server.sent += 1
            self._task = asyncio.get_running_loop().create_task(self._connect(server, request))

    async def _connect(self, server: Server, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, line = await loop.create_connection(
                lambda: Upstream(server), "127.0.0.1", server.port
            )
        except OSError:
            self._task = None
            self._answered(UNAVAILABLE)
            return
        self._task = None
        self._ask(line, request)

    def _ask(self, line: Upstream, request: bytes) -> None:
        self._busy = line
        line.ask(request, self._answered)

    def _answered(self, message: bytes) -> None:
        self._busy = None
        if not self.transport.is_closing():
            self.transport.write(message)
            self._next()


class Runtime(asyncio.Protocol):
    """The runtime socket: one line of commands, their answers, and the end of the connection."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if b"\n" in self._buffer:
            line = self._buffer.partition(b"\n")[0].decode("ascii", "replace")
            commands = [each.strip() for each in line.split(";") if each.strip()]
            answers = "".join(carried_out(self._backend, each) + "\n" for each in commands)
            self.transport.write(answers.encode())
            self.transport.close()
        elif len(self._buffer) > LINE_BYTES_MAX:
            self.transport.abort()


def carried_out(backend: Backend, command: str) -> str:
    """Carry out one command of the runtime socket; an empty answer says that it was done."""
    match command.split():
        case ["show", "info"]:
            return f"Name: {NAME}\nVersion: 0-sandbox\nPid: {os.getpid()}\n"
        case ["show", "servers", "state"] | ["show", "stat"]:
            return _state(backend) if command.endswith("state") else _stat(backend)
        case ["show", "servers", "state", name]:
            return _state(backend) if name == backend.name else "Can't find backend.\n"
        case ["set", "server", place, "state", word] if word in STATES:
            return _on(backend, place, lambda server: backend.set_state(server, word))
        case ["set", "server", place, "weight", text] if text.isdecimal():
            weight = int(text)
            if weight > WEIGHT_MAX:
                return "Weight can only be between 0 and 256 inclusive.\n"
            return _on(backend, place, lambda server: backend.set_weight(server, weight))
        case _:
            return f"Unknown command: '{command}'; the sandbox balancer knows few.\n"


def _on(backend: Backend, place: str, do: Callable[[Server], None]) -> str:
    name, _, server_name = place.partition("/")
    server = backend.servers.get(server_name)
    if name != backend.name or server is None:
        return "No such server.\n"
    do(server)
    return ""


def _state(backend: Backend) -> str:
    now = asyncio.get_running_loop().time()
    rows = [
        f"1 {backend.name} {number} {each.name} 127.0.0.1 {UP} {each.admin} {each.weight} 1 "
        f"{int(now - each.since)} {each.port}"
        for number, each in enumerate(backend.servers.values(), 1)
    ]
    return "\n".join(["1", f"# {_COLUMNS}", *rows, ""])


def _stat(backend: Backend) -> str:
    words = {0: "UP", DRAINED: "DRAIN", MAINTENANCE: "MAINT"}
    rows = [
        f"{backend.name},{each.name},{each.sent},{words[each.admin]},{each.weight},"
        for each in backend.servers.values()
    ]
    return "\n".join(["# pxname,svname,stot,status,weight,", *rows, ""])


async def serve(site: Site, backend: Backend) -> None:
    """Listen for the users of every region and on the runtime socket, until ended."""
    loop = asyncio.get_running_loop()
    site.balancer_socket.unlink(missing_ok=True)
    runtime = await loop.create_unix_server(lambda: Runtime(backend), str(site.balancer_socket))
    site.balancer_socket.chmod(0o600)
    fronts = [
        await loop.create_server(
            lambda home=region: User(backend, home),  # type: ignore[misc]
            sock=bound_socket(site.ports[front_name(region)]),
        )
        for region in site.blueprint.regions
    ]
    await asyncio.gather(*(each.serve_forever() for each in (runtime, *fronts)))


def main() -> None:
    """Run `balancer SITE_FILE`."""
    die_with_parent()
    site = load_site(Path(sys.argv[1]))
    api = site.blueprint.api
    servers = tuple(
        Server(name=region, port=site.port(api, region)) for region in site.blueprint.regions
    )
    log = JsonLog(site.observed / "balancer.jsonl", api, GLOBAL)
    uvloop.run(serve(site, Backend(api, servers, log)))


if __name__ == "__main__":
    main()
