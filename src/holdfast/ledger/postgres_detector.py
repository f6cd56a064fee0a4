"""The right to open incidents on one PostgreSQL: one process has it, the others only work.

A lock of a session of its own. It goes when the process dies, however it dies,
and also when the server restarts: so who relies on it asks again.
"""

import threading
from collections.abc import Mapping

import psycopg

from holdfast.ledger.postgres_connection import PatientConnection, Server


class OnlyDetector:
    """A lock that one process at a time holds. Thread-safe."""

    def __init__(self, server: Server, queries: Mapping[str, str]) -> None:
        self._server = server
        self._queries = queries
        self._lock = threading.Lock()
        self._connection: PatientConnection | None = None

    def held(self) -> bool:
        """Say whether we have it now, and take it when it is free.

        Raises LedgerUnavailableError when the server can't be asked: then nobody knows.
        """
        with self._lock:
            if self._connection is not None and self._lives(self._connection):
                return True
            self._drop()
            connection = self._server.connect()
            try:
                row = connection.execute(self._queries["take_detector"].encode()).fetchone()
            except psycopg.Error as error:
                connection.close()
                raise self._server.unavailable("can't lend its lock", error) from None
            if row is None or not row[0]:
                connection.close()
                return False
            self._connection = connection
            return True

    def release(self) -> None:
        """Give it back."""
        with self._lock:
            self._drop()

    def _lives(self, connection: PatientConnection) -> bool:
        try:
            connection.execute("select 1")
        except psycopg.Error:
            return False
        return True

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
