"""A real HAProxy before real servers, all on unix sockets, and who was asked."""

import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.io_parts import answering
from tests.real_parts import end, keep, short_directory, until

CONFIGURATION = """
global
    stats socket {directory}/admin mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend front
    bind unix@{directory}/front
    default_backend shop
backend shop
    balance roundrobin
{servers}
backend lonely
    server shop-north unix@{directory}/north
backend fixed
    balance static-rr
    server shop-north unix@{directory}/north weight 10
    server shop-south unix@{directory}/south weight 10
"""


@dataclass(slots=True, kw_only=True)
class Balancer:
    """A running HAProxy; `asked` counts the requests at the servers behind it."""

    directory: Path
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def admin(self) -> str:
        return str(self.directory / "admin")

    def tell(self, line: str) -> str:
        """Say something to the runtime API, as a person would."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self.admin)
            connection.sendall(line.encode() + b"\n")
            return "".join(chunk.decode() for chunk in iter(lambda: connection.recv(65536), b""))

    def visit(self, count: int) -> Counter[str]:
        """Send requests through the front, and say who answered them."""
        answers: Counter[str] = Counter()
        for _ in range(count):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(str(self.directory / "front"))
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
                answers[answer.rpartition(b"\r\n\r\n")[2].decode()] += 1
        return answers

    def reset(self) -> None:
        for name in ("north", "south", "west"):
            self.tell(f"set server shop/shop-{name} state ready")
            self.tell(f"set server shop/shop-{name} health up")
            self.tell(f"set server shop/shop-{name} weight 100%")
        self.tell("set server lonely/shop-north state ready")


@contextmanager
def started_haproxy() -> Iterator[Balancer]:
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if binary is None:
        pytest.skip("haproxy is not installed; apt-get install haproxy")
    directory = short_directory("ha")
    balancer = Balancer(directory=directory)
    names = ("north", "south", "west")
    servers = "".join(
        f"    server shop-{name} unix@{directory}/{name} weight 10\n" for name in names
    )
    conf = directory / "conf"
    conf.write_text(CONFIGURATION.format(directory=directory, servers=servers))
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_server(directory / name, name, balancer))
        keeper = keep([binary, "-db", "-f", str(conf)], directory, stop="SIGTERM")
        stack.callback(end, keeper)
        until((directory / "admin").exists, keeper, directory)
        yield balancer


@contextmanager
def _server(path: Path, name: str, balancer: Balancer) -> Iterator[None]:
    body = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n\r\n{name}"

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        balancer.asked[name] += 1
        connection.sendall(body.encode())
        connection.close()

    with answering(socket.AF_UNIX, str(path), serve):
        yield
