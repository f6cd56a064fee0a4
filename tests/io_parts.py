"""What the tests of the I/O rooms share: a small catalogue, and servers that misbehave."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.response.ports import ActionRequest, CheckContext

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def context(*services: str, started_at: datetime = NOW, now: datetime = NOW) -> CheckContext:
    return CheckContext(services=services or ("api",), started_at=started_at, now=now)


def catalogue(*services: Service) -> Catalogue:
    return Catalogue(services={service.name: service for service in services})


def supervised(socket_path: Path | str) -> Catalogue:
    """Describe `api` in two regions and `worker` in one place, both under supervisord."""
    return catalogue(
        Service(
            name="api",
            regions=("north", "south"),
            control={"supervisord": {"socket": str(socket_path), "process": "api-{region}"}},
        ),
        Service(name="worker", control={"supervisord": {"socket": str(socket_path)}}),
        Service(name="store"),
    )


def request(
    action: str,
    target: str,
    *,
    pre_image: Mapping[str, Any] | None = None,
    timeout_s: float = 20.0,
    key: str = "i/s/1",
    fence: int = 1,
    params: Mapping[str, Any] | None = None,
) -> ActionRequest:
    return ActionRequest(
        action=action,
        target=target,
        params=params or {},
        idempotency_key=key,
        fence=fence,
        timeout_s=timeout_s,
        pre_image=pre_image or {},
    )


def releases(directory: Path, *versions: str, current: str) -> Path:
    """Make a release directory, the versions in order of age."""
    import os

    for age, version in enumerate(reversed(versions)):
        (directory / version).mkdir(parents=True)
        (directory / version / "app.py").write_text(f"VERSION = {version!r}\n")
        os.utime(directory / version, (1_700_000_000 - age, 1_700_000_000 - age))
    point(directory, current)
    return directory


def point(directory: Path, version: str) -> None:
    """Deploy as a deploy tool does: a new link, renamed into place."""
    fresh = directory / "fresh"
    fresh.symlink_to(version)
    fresh.rename(directory / "current")


@contextmanager
def answering(
    family: int, address: str | tuple[str, int], serve: Callable[[socket.socket], None]
) -> Iterator[Any]:
    """Listen, and hand every connection to `serve`. Gives the address that it listens at."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen()
    open_ones: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_ones.append(connection)
            threading.Thread(target=_served, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()
    finally:
        for each in (listener, *open_ones):
            # Wakes whoever waits on it; closing alone does not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _served(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:
        return


def read_and_hang(connection: socket.socket) -> None:
    """Take a request and never answer: read until the other side gives up."""
    while connection.recv(65536):
        pass


def read_and_cut(connection: socket.socket) -> None:
    """Take a request and close without a word."""
    connection.recv(65536)
    connection.close()


def dribble(connection: socket.socket, stop: threading.Event) -> None:
    """Answer one byte at a time, always soon enough for a timeout that counts per read."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stop.wait(0.02):
        connection.sendall(b"x")
