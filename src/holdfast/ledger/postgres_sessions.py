"""Runs single statements on connections that are kept for the next one.

Every statement here is its own transaction and may be sent twice: it changes
nothing the second time, or says what became of the first. So a lost connection
is made anew and the statement repeated once, after the lost session is over.
"""

import threading
from collections.abc import Mapping
from typing import Any

import psycopg

from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.postgres_connection import PatientConnection, Server, Session

Row = tuple[Any, ...]
Values = Mapping[str, Any]

AT_ONCE_MAX = 8
_ROLLED_BACK = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
REPEAT_S = 5.0


class Sessions:
    """A few connections for whoever reads or writes a single statement. Thread-safe."""

    def __init__(self, server: Server, queries: Mapping[str, str]) -> None:
        self._server = server
        self._queries = queries
        self._idle: list[PatientConnection] = []
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE_MAX)
        self._stopping = threading.Event()

    def read(self, query: str, values: Values) -> list[Row]:
        """Run a query that changes nothing. Raises LedgerUnavailableError at once."""
        return self._run(query, values, within_s=None)

    def write(self, query: str, values: Values) -> list[Row]:
        """Run a statement that may be repeated, with some patience for a server that restarts."""
        return self._run(query, values, within_s=REPEAT_S)

    def close(self) -> None:
        """Let go of every connection; one that is in use is closed when it is given back."""
        with self._lock:
            self._stopping.set()
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _run(self, query: str, values: Values, *, within_s: float | None) -> list[Row]:
        if self._stopping.is_set():
            raise LedgerUnavailableError(
                f"the ledger {self._server.shown} was closed before this was asked; open it again"
            )
        with self._room:
            connection = self._taken()
            try:
                return self._execute(connection, query, values)
            except psycopg.OperationalError as error:
                if not connection.closed:
                    raise self._server.unavailable(f"can't do {query}", error) from None
            except psycopg.Error as error:
                raise self._server.unavailable(f"can't do {query}", error) from None
            finally:
                self._give_back(connection)
            return self._again(connection.session, query, values, within_s)

    def _again(
        self, lost: Session, query: str, values: Values, within_s: float | None
    ) -> list[Row]:
        self._forget()
        if within_s is None:
            # It wrote nothing, so nobody need wait until its session is over.
            connection = self._server.connect(durable=True)
        else:
            connection = self._server.connect_after(lost, self._stopping, within_s=within_s)
        try:
            return self._execute(connection, query, values)
        except psycopg.Error as error:
            raise self._server.unavailable(f"can't do {query}", error) from None
        finally:
            self._give_back(connection)

    def _execute(self, connection: PatientConnection, query: str, values: Values) -> list[Row]:
        text = self._queries[query].encode()
        try:
            cursor = connection.execute(text, values, binary=True)
        except _ROLLED_BACK:
            # For the sake of others: nothing was done, so the same may be sent again.
            cursor = connection.execute(text, values, binary=True)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    def _taken(self) -> PatientConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._server.connect()

    def _give_back(self, connection: PatientConnection) -> None:
        with self._lock:
            if not connection.closed and not self._stopping.is_set():
                self._idle.append(connection)
                return
        connection.close()

    def _forget(self) -> None:
        """Close what is idle: the server that they led to may be gone as well."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
