"""Ends a request when its whole time is over, however steadily the other side dribbles.

An HTTP client counts its time for each read, so one byte now and then holds it for ever, also in
the headers and in the handshake. Here the connection itself is shut down, from outside.
"""

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self


class TimeLimit:
    """For one request: give `extensions` with it, and `over` says whether its time ended it."""

    def __init__(self, timeout_s: float) -> None:
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self.over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def extensions(self) -> dict[str, Any]:
        """Tell the client to show each connection that it opens."""
        return {"trace": self._heard}

    def _heard(self, event: str, info: Mapping[str, Any]) -> None:
        if event != "connection.connect_tcp.complete":
            return
        opened = info["return_value"].get_extra_info("socket")
        with self._lock:
            # A number of our own: theirs is closed or wrapped without a word to us.
            self._connection = socket.socket(fileno=os.dup(opened.fileno()))
            if self.over:
                self._shut()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
