"""A real RabbitMQ for tests, from its package, and a line to it that can be cut at a chosen word.

It is started without its shell scripts and without epmd: a node of its own name, ports on loopback,
everything below one directory. A keeper ends it with this process, however that ends. A missing
package skips the test and says so.
"""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.actions.drain_queue import DrainQueue
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import SystemClock
from holdfast.response.ports import ActionRequest, TargetUnreachableError
from tests.certificate_parts import own_certificate
from tests.io_parts import answering, catalogue, request
from tests.real_parts import START_S, end, keep, short_directory, until

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

PLUGINS = Path("/usr/lib/rabbitmq/lib")
# Class and method of AMQP 0-9-1, as they stand at the head of a method's frame.
PUBLISH, GET, ACK = b"\x00\x3c\x00\x28", b"\x00\x3c\x00\x46", b"\x00\x3c\x00\x50"
FRAME_HEAD = 7  # bytes before them: type, channel, size
_CONFIG = """
listeners.tcp.local = 127.0.0.1:{port}
listeners.ssl.local = 127.0.0.1:{tls_port}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {certificate}
ssl_options.cacertfile = {certificate}
log.file = false
log.console = true
log.console.level = error
disk_free_limit.absolute = 1MB
load_definitions = {definitions}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMq:
    """A running broker.

    `guest` may do everything, `parker` what the reference asks for, `reader` look and take.
    """

    port: int
    tls_port: int
    certificate: Path
    keeper: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return self.url_of("guest")

    @property
    def tls_url(self) -> str:
        """Where it answers with a certificate that only its own authority has signed."""
        return f"amqps://guest:guest@localhost:{self.tls_port}/%2f"

    def url_of(self, user: str, password: str | None = None, port: int | None = None) -> str:
        return f"amqp://{user}:{password or user}@127.0.0.1:{port or self.port}/%2f"


@contextmanager
def started_rabbitmq() -> Iterator[RabbitMq]:
    plugins = next(PLUGINS.glob("rabbitmq_server-*/plugins"), None)
    erlang = shutil.which("erl")
    if plugins is None or erlang is None:
        pytest.skip("rabbitmq-server is not installed: apt-get install rabbitmq-server")
    directory = short_directory("rq")
    port, tls_port, between_nodes = _free_ports(3)
    certificate = own_certificate(directory)
    definitions, config = directory / "definitions.json", directory / "rabbitmq.conf"
    definitions.write_text(json.dumps(_definitions()))
    config.write_text(
        _CONFIG.format(
            port=port, tls_port=tls_port, certificate=certificate, definitions=definitions
        )
    )
    (directory / "plugins").write_text("[].\n")
    node = f"hf{port}@localhost"
    settings = {
        "HOME": directory, "ERL_LIBS": plugins, "RABBITMQ_NODENAME": node,
        "RABBITMQ_MNESIA_BASE": directory / "data", "RABBITMQ_LOG_BASE": directory / "log",
        "RABBITMQ_CONFIG_FILE": config, "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
        "RABBITMQ_PLUGINS_DIR": plugins, "RABBITMQ_CONF_ENV_FILE": directory / "none",
        "RABBITMQ_DIST_PORT": between_nodes, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
    }  # fmt: skip
    argv = [
        "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in settings.items()),
        erlang, "-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl", "-sname", node,
        "-start_epmd", "false", "-erl_epmd_port", str(between_nodes),
        "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
        "-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false",
        "+S", "1:1", "+sbwt", "none", "+W", "w",
    ]  # fmt: skip
    keeper = keep(argv, directory, stop="SIGKILL")
    broker = RabbitMq(port=port, tls_port=tls_port, certificate=certificate, keeper=keeper)
    try:
        until(lambda: _answers(broker), keeper, directory)
        yield broker
    finally:
        end(keeper)


def fill(channel: "BlockingChannel", queue: str, numbers: range) -> None:
    for number in numbers:
        channel.basic_publish("", queue, str(number).encode())


def bodies(channel: "BlockingChannel", queue: str) -> list[int]:
    """Read a queue, the oldest first, and give everything back."""
    return [int(body) for _, body in messages(channel, queue)]


def messages(channel: "BlockingChannel", queue: str) -> list[tuple[Any, Any]]:
    """Read a queue with the messages' properties, and give everything back."""
    found, last = list[tuple[Any, Any]](), 0
    while (got := channel.basic_get(queue))[0] is not None:
        found.append((got[1], got[2]))
        last = got[0].delivery_tag or 0
    if last:
        channel.basic_nack(last, multiple=True, requeue=True)
    return found


def described(url: str, queue: str, **more: object) -> Catalogue:
    control: dict[str, Any] = {"url": url, "lists": [queue], "parking": "{queue}.parked", **more}
    return catalogue(Service(name="shop", control={"queue": control}), Service(name="store"))


def drain(broker: RabbitMq, queue: str, **more: object) -> DrainQueue:
    return DrainQueue(described(broker.url_of("parker"), queue, **more))


def attempt(action: DrainQueue, key: str = "INC-1/s/1", **params: object) -> ActionRequest:
    seen = action.observe("shop", params)
    return request("drain_queue", "shop", pre_image=seen, key=key, params=params)


class JumpingClock(SystemClock):
    """The real time, and what was added to it."""

    def __init__(self) -> None:
        self._added_s = 0.0

    def jump(self, seconds: float) -> None:
        self._added_s += seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._added_s


def given_back(channel: "BlockingChannel", queue: str, least: int) -> list[int]:
    """Read a queue once the broker has put back into it what a lost connection held."""
    give_up = time.monotonic() + START_S
    while len(found := bodies(channel, queue)) < least:
        assert time.monotonic() < give_up, f"{queue} holds {found}"
    return found


@contextmanager
def line_to(
    broker: RabbitMq,
    *,
    word: bytes | None = None,
    cut_at: bytes | None = None,
    hold_at: bytes | None = None,
    nth: int = 1,
    then: Callable[[], object] | None = None,
) -> Iterator[str]:
    """Give a URL that leads to the broker by a line of ours.

    At the `nth` time that the client sends `cut_at` the line goes, and the word is not passed on; at
    `hold_at` everything stops and the line stays. A plain `word` is passed on after `then`.
    """
    sought = word or cut_at or hold_at or b""

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", broker.port)) as server:
            threading.Thread(target=_back, args=(server, connection), daemon=True).start()
            left = nth
            while asked := connection.recv(65536):
                before, left = left, left - asked.count(sought)
                if before > 0 >= left and then is not None:
                    then()
                if left <= 0 and word is None:
                    # What came in the same breath is passed on, up to the head of the frame.
                    server.sendall(asked[: asked.find(sought) - FRAME_HEAD])
                    if cut_at is not None:
                        connection.shutdown(socket.SHUT_RDWR)
                    while connection.recv(65536):
                        pass
                    break
                server.sendall(asked)
            server.shutdown(socket.SHUT_RDWR)

    with answering(socket.AF_INET, ("127.0.0.1", 0), serve) as where:
        yield broker.url_of("guest", port=where[1])


def _back(server: socket.socket, connection: socket.socket) -> None:
    with suppress(OSError):
        while answer := server.recv(65536):
            connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)


def _answers(broker: RabbitMq) -> bool:
    """Say whether it speaks AMQP: it listens a moment before it lets anybody in."""
    from holdfast.actions.rabbitmq_target import Broker

    try:
        with Broker(broker.url, SystemClock(), START_S):
            return True
    except TargetUnreachableError:
        return False


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


def _definitions() -> dict[str, object]:
    def user(name: str) -> dict[str, object]:
        salt = b"salt"
        digest = hashlib.sha256(salt + name.encode()).digest()
        return {
            "name": name,
            "password_hash": base64.b64encode(salt + digest).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
        }

    def rights(name: str, configure: str, write: str) -> dict[str, str]:
        return {"user": name, "vhost": "/", "configure": configure, "write": write, "read": ".*"}

    return {
        "users": [user("guest"), user("parker"), user("reader")],
        "vhosts": [{"name": "/"}],
        "permissions": [
            rights("guest", ".*", ".*"),
            rights("parker", "^$", r"^amq\.default$"),
            rights("reader", "^$", "^$"),
        ],
    }
