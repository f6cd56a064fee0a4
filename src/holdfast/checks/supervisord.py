"""Asks supervisord what its processes do. It can't make it do anything.

XML-RPC over a unix socket, one method, read-only: a check holds no way to act.
The client that starts and stops processes lives with the actions.
"""

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from typing import Any, cast


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; the host name is only a header."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: str | tuple[str, dict[str, str]]) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._timeout_s)
        # Where the parent class looks for what it has to close.
        self._connection = host, connection
        return connection


def process_table(socket_path: str, *, timeout_s: float) -> dict[str, Mapping[str, Any]]:
    """Read all processes by `name` and by `group:name`, as getAllProcessInfo gives them.

    Raises OSError where supervisord can't be reached or doesn't answer.
    """
    transport = _UnixTransport(socket_path, timeout_s)
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
    with proxy:
        rows = cast("list[dict[str, Any]]", proxy.supervisor.getAllProcessInfo())
    table: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        table[f"{row['group']}:{row['name']}"] = row
        table.setdefault(row["name"], row)
    return table
