"""Reads the file on a connection of its own, so that reading never waits for writing."""

import json
import threading
from pathlib import Path

import apsw

from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.reading import Reading
from holdfast.ledger.sqlite_session import Row, Session, Values

# To SQLite a limit below zero is none.
_NO_LIMIT = -1


class SqliteReader:
    """A connection that only reads. Thread-safe."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session = session
        self._path = path
        self._lock = threading.Lock()

    def reading(self) -> Reading:
        """Read the file's ledger by this connection."""
        return Reading(self.all, ids=json.dumps, no_limit=_NO_LIMIT)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._session.db.close()

    def all(self, query: str, values: Values) -> list[Row]:
        """Run one named query. Raises LedgerUnavailableError for a file that can't be read."""
        with self._lock:
            try:
                return self._session.all(query, values)
            except (apsw.Error, apsw.ConnectionClosedError, apsw.CursorClosedError) as error:
                raise LedgerUnavailableError(
                    f"can't read the ledger {self._path}: {error}; "
                    "run `holdfast incident verify` on a copy, or restore a backup"
                ) from None
