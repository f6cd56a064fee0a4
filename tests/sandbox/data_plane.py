"""The data plane alone: both servers and the pooler, without the services and their traffic."""

import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psycopg

from holdfast.sandbox.blueprint import default_blueprint
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.postgres import prepare_database
from holdfast.sandbox.processes import started_at
from holdfast.sandbox.services.pooler import SOCKET_NAME
from holdfast.sandbox.site import GLOBAL, ReservedPorts, Site, build_directories
from holdfast.sandbox.standby import DatabasePair
from tests.sandbox.shopping import metrics

PATIENCE_S = 15.0
Connection = psycopg.Connection[tuple[Any, ...]]


class DataPlane:
    """Both servers and a pooler of `pool_size` connections, under a keeper."""

    def __init__(self, root: Path, ports: ReservedPorts, pool_size: int) -> None:
        shape = replace(default_blueprint(), pool_size=pool_size)
        self.site = Site(blueprint=shape, root=root, run=build_directories(root), ports=ports.ports)
        self.link = KeeperLink(root)
        self.databases = DatabasePair(self.site, self.link)
        self._pooler = 0

    def bring_up(self) -> None:
        self.link.remove_at_end(self.site.run)
        self.site.save()
        self.databases.start()
        prepare_database(self.site)
        self.databases.wait_until_streaming()
        # The pooler ends with whoever started it, which it knows by this file.
        self.site.supervisor_pid_file.write_text(str(self.link.pid), encoding="ascii")
        self.start_pooler()

    def start_pooler(self, *, healthy: bool = True) -> None:
        pooler = self.site.blueprint.pooler
        program = [sys.executable, "-m", "holdfast.sandbox.services.start", "pooler"]
        argv = [*program, str(self.site.file), pooler, GLOBAL]
        self._pooler = self.link.start(argv, log=self.site.logs / "pooler.stderr")
        until(self.healthy if healthy else self.listens, "the pooler to answer")

    def restart_pooler(self, *, healthy: bool = True) -> None:
        os.kill(self._pooler, signal.SIGTERM)
        until(lambda: started_at(self._pooler) is None, "the pooler to end")
        self.start_pooler(healthy=healthy)

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            return line.connect_ex(str(self.site.pool_socket_directory / SOCKET_NAME)) == 0

    def healthy(self) -> bool:
        url = self.site.url(self.site.blueprint.pooler, GLOBAL, "/healthz")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def measured(self, meaning: str, suffix: str = "") -> float:
        """Read one of the pooler's metrics by its meaning."""
        shape = self.site.blueprint
        page = metrics(self.site.url(shape.pooler, GLOBAL, "/metrics"))
        return page[shape.metrics[meaning] + suffix]

    def logged(self, message: str) -> list[str]:
        lines = (self.site.logs / f"{self.site.blueprint.pooler}.jsonl").read_text().splitlines()
        return [line for line in lines if message in line]

    @contextmanager
    def client(self, name: str = "test", *, autocommit: bool = True) -> Iterator[Connection]:
        """Connect through the pooler, as a service does."""
        dsn = f"{self.site.pool_dsn()} application_name={name}"
        with psycopg.connect(dsn, autocommit=autocommit, prepare_threshold=None) as connection:
            yield connection


@contextmanager
def started_data_plane(root: Path, *, pool_size: int) -> Iterator[DataPlane]:
    ports = ReservedPorts((default_blueprint().pooler,))
    plane = DataPlane(root, ports, pool_size)
    try:
        plane.bring_up()
        yield plane
    finally:
        plane.link.stop()
        ports.close()


def until(is_true: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does; fail with what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain: {what}"
        time.sleep(0.01)
