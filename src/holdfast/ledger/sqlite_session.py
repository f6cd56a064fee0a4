"""One SQLite connection and the named queries that run on it.

One cursor for all statements: SQLite keeps them prepared, and what is left of
one is put away by the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

Row = tuple[Any, ...]
Values = Mapping[str, Any]
_NONE: dict[str, Any] = {}


class Session:
    """Runs named queries. Not thread-safe: its owner holds a lock."""

    def __init__(self, db: apsw.Connection, queries: Mapping[str, str]) -> None:
        self.db = db
        self._queries = queries
        self._cursor = db.cursor()

    def run(self, query: str, values: Values = _NONE) -> int:
        """Run a statement to its end; return how many rows it changed."""
        self._cursor.execute(self._queries[query], values)
        return self.db.changes()

    def run_many(self, query: str, values: Sequence[Values | Row]) -> None:
        """Run a statement once for each of `values`."""
        self._cursor.executemany(self._queries[query], values)

    def one(self, query: str, values: Values = _NONE) -> Row | None:
        """Give the one row, or None. Read to the end: an open statement would bar the commit."""
        rows = self.all(query, values)
        return rows[0] if rows else None

    def all(self, query: str, values: Values = _NONE) -> list[Row]:
        """Give every row."""
        rows: list[Row] = self._cursor.execute(self._queries[query], values).fetchall()
        return rows
