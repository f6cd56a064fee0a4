"""The tables of a ledger in PostgreSQL."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from holdfast.kernel.clock import SystemClock
from holdfast.ledger.migrate import Dialect
from holdfast.ledger.postgres_connection import PatientConnection, Server
from holdfast.ledger.tables import BOOLEANS, ORDER, TABLES, Row

_PATIENCE_S = 3600.0
_AT_ONCE = 2000


class PostgresTables:
    """Reads and writes whole tables inside one transaction."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: PatientConnection) -> None:
        self._connection = connection

    def count(self, table: str) -> int:
        """Say how many rows there are."""
        row = self._connection.execute(f"select count(*) from {table}".encode()).fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def read(self, table: str) -> Iterator[Row]:
        """Give every row, in the table's order, a few thousand at a time."""
        columns = ", ".join(f"{name}::int" if name in BOOLEANS else name for name in TABLES[table])
        order = ORDER.get(table, TABLES[table][0])
        with self._connection.cursor(name="holdfast_copy", binary=True) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(f"select {columns} from {table} order by {order}".encode())  # noqa: S608
            yield from cursor

    def write(self, table: str, rows: Iterable[Row]) -> None:
        """Insert these rows; numbers that the database allots go on after the highest."""
        columns = TABLES[table]
        truths = [index for index, name in enumerate(columns) if name in BOOLEANS]
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(_with_truths(row, truths))
        if table == "inbox":
            self._connection.execute(
                "select setval(pg_get_serial_sequence('inbox', 'n'), max(n)) from inbox "
                "having count(*) > 0"
            )

    def clear(self, table: str) -> None:
        """Take every row away."""
        self._connection.execute(f"delete from {table}".encode())  # noqa: S608 - our names

    def migrations(self) -> Mapping[int, str]:
        """Give the number and the name of every migration that was applied."""
        rows = self._connection.execute("select number, name from migration order by number")
        return {int(number): str(name) for number, name in rows}


def _with_truths(row: Row, truths: list[int]) -> list[Any]:
    values = list(row)
    for index in truths:
        values[index] = bool(values[index])
    return values


@contextmanager
def reading(dsn: str) -> Iterator[PostgresTables]:
    """Read a database as of one moment, while others write to it."""
    with _transaction(dsn, "repeatable read, read only", "can't be read") as connection:
        yield PostgresTables(connection)


@contextmanager
def writing(dsn: str) -> Iterator[PostgresTables]:
    """Change a ledger in one transaction: whole, or not at all when the block raises."""
    with _transaction(dsn, "read committed", "can't be restored") as connection:
        names = ", ".join(TABLES)
        connection.execute(f"lock table {names} in access exclusive mode".encode())
        yield PostgresTables(connection)


@contextmanager
def _transaction(dsn: str, mode: str, what: str) -> Iterator[PatientConnection]:
    server = Server(dsn=dsn, clock=SystemClock())
    with server.connect(durable=True) as connection:
        connection.patience_s = _PATIENCE_S
        try:
            with connection.transaction():
                connection.execute(f"set transaction isolation level {mode}".encode())
                connection.execute("set local statement_timeout = 0")
                connection.execute("set local idle_in_transaction_session_timeout = 0")
                yield connection
        except psycopg.Error as error:
            raise server.unavailable(f"{what}; nothing was changed", error) from None
