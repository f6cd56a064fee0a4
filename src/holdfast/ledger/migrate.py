"""Brings a database to this version's schema: numbered plain SQL with checksums.

A migration that was applied must never change afterwards; if its checksum
differs, somebody edited history and we stop.
"""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

import apsw

from holdfast.kernel.errors import LedgerUnavailableError

Dialect = Literal["sqlite", "postgres"]

_TABLE = """create table if not exists migration (
  number integer primary key,
  name text not null,
  checksum text not null
) strict"""


def migrations(dialect: Dialect) -> Iterator[tuple[int, str, str]]:
    """Give every migration as (number, name, SQL), in order."""
    folder = files("holdfast.ledger").joinpath("migrations", dialect)
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".sql"):
            yield int(entry.name.split("_")[0]), entry.name, entry.read_text(encoding="utf-8")


def migrate(db: apsw.Connection, path: str) -> None:
    """Apply what is missing, in one locked transaction.

    Raises LedgerUnavailableError for an edited history, a full disk, a locked or damaged file.
    """
    try:
        _migrate(db)
    except apsw.Error as error:
        raise LedgerUnavailableError(
            f"can't prepare the ledger {path}: {error}; nothing was changed in it: "
            "check its disk, and that no other program holds it"
        ) from None


def _migrate(db: apsw.Connection) -> None:
    db.execute("begin immediate")
    try:
        db.execute(_TABLE)
        rows = db.execute("select number, checksum from migration")
        applied = {int(number): str(checksum) for number, checksum in rows}
        for number, name, sql in migrations("sqlite"):
            _apply(db, applied, number, name, sql)
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise


def _apply(db: apsw.Connection, applied: dict[int, str], number: int, name: str, sql: str) -> None:
    if number not in applied:
        db.execute(sql)
        db.execute("insert into migration values (?, ?, ?)", (number, name, checksum(sql)))
    else:
        assert_unedited(name, applied[number], checksum(sql))


def checksum(sql: str) -> str:
    """Give the checksum by which an edited migration shows."""
    return hashlib.sha256(sql.encode()).hexdigest()


def assert_unedited(name: str, applied: str, ours: str) -> None:
    """Raise LedgerUnavailableError when what was applied is not what this version has."""
    if applied != ours:
        raise LedgerUnavailableError(
            f"migration {name} was applied with checksum {applied[:12]} but this version "
            f"has {ours[:12]}; install the version that wrote the database, or restore a backup"
        )
