"""Hears the server's notifications and passes them on as hints.

Only a hint: one that is lost while the connection is down is made up for by one
hint after it is back, and by the poll of whoever waits. While it listens, the
session holds a shared lock by which others see that somebody is at work.
"""

import os
import select
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import psycopg

from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.hints import Hints
from holdfast.ledger.postgres_connection import PatientConnection, Server

_RETRY_S = 0.5
_STOP_S = 5.0


class Listener:
    """One thread and one connection, as long as anybody listens. Thread-safe."""

    def __init__(self, server: Server, queries: Mapping[str, str]) -> None:
        self._server = server
        self._queries = queries
        self._hints = Hints()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._reading, self._writing = os.pipe()

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` from the listening thread; return the function that ends this."""
        stop = self._hints.listen(hint)
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="ledger-hints", daemon=True)
                self._thread.start()
        return stop

    def close(self) -> None:
        """End the thread and its connection."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            os.write(self._writing, b"s")
        if self._thread is not None:
            self._thread.join(_STOP_S)
        os.close(self._writing)
        os.close(self._reading)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with (
                suppress(psycopg.Error, LedgerUnavailableError),
                self._server.connect() as connection,
            ):
                self._hear(connection)
            self._server.clock.wait(self._stopping, _RETRY_S)

    def _hear(self, connection: PatientConnection) -> None:
        connection.execute("listen holdfast")
        connection.execute(self._queries["at_work"].encode())
        # What was told before the server knew of us is made up for.
        self._hints.give()
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._reading, select.POLLIN)
        while not self._stopping.is_set():
            poll.poll()
            connection.pgconn.consume_input()
            told = False
            while connection.pgconn.notifies() is not None:
                told = True
            if told:
                self._hints.give()
