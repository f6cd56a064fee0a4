"""The tables of a ledger in a file."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.connection import connect
from holdfast.ledger.migrate import Dialect
from holdfast.ledger.tables import ORDER, TABLES, Row


class SqliteTables:
    """Reads and writes whole tables on one connection, inside its transaction."""

    dialect: Dialect = "sqlite"

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def count(self, table: str) -> int:
        """Say how many rows there are."""
        return int(self._db.execute(f"select count(*) from {table}").get)  # noqa: S608 - our names

    def read(self, table: str) -> Iterator[Row]:
        """Give every row, in the table's order."""
        columns = ", ".join(TABLES[table])
        order = ORDER.get(table, TABLES[table][0])
        rows = self._db.execute(f"select {columns} from {table} order by {order}")  # noqa: S608
        yield from rows

    def write(self, table: str, rows: Iterable[Row]) -> None:
        """Insert these rows."""
        columns = TABLES[table]
        marks = ", ".join("?" for _ in columns)
        self._db.executemany(
            f"insert into {table} ({', '.join(columns)}) values ({marks})",  # noqa: S608
            rows,
        )

    def clear(self, table: str) -> None:
        """Take every row away."""
        self._db.execute(f"delete from {table}")  # noqa: S608 - our names

    def migrations(self) -> Mapping[int, str]:
        """Give the number and the name of every migration that was applied."""
        return dict(self._db.execute("select number, name from migration order by number"))


@contextmanager
def reading(path: Path) -> Iterator[SqliteTables]:
    """Read a file as of one moment, while others write to it. Nothing is changed in it.

    Raises LedgerUnavailableError for a file that is no ledger or can't be read.
    """
    if not path.is_file():
        raise LedgerUnavailableError(f"there is no file {path}; give one that exists")
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_timeout(10_000)
            db.execute("begin")
            tables = SqliteTables(db)
            tables.migrations()
            yield tables
        finally:
            db.close()
    except apsw.Error as error:
        raise LedgerUnavailableError(
            f"can't read {path} as a ledger: {error}; give a file that "
            "`holdfast ledger backup` wrote"
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[SqliteTables]:
    """Change a ledger in one transaction: whole, or not at all when the block raises."""
    clock = SystemClock()
    db = connect(path, lambda: clock.now().timestamp())
    try:
        db.execute("begin immediate")
        yield SqliteTables(db)
        db.execute("commit")
    except apsw.Error as error:
        raise LedgerUnavailableError(
            f"can't write the ledger {path}: {error}; nothing was changed in it: check its disk, "
            "and that no other program holds it"
        ) from None
    finally:
        db.close()
