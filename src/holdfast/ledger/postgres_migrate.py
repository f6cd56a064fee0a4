"""Brings a PostgreSQL database to this version's schema, one process at a time.

The same rule as in a file: numbered plain SQL with checksums, all of it in one
transaction under a lock. Numbers that this version does not know are a newer
one's, and it works beside them.
"""

import psycopg

from holdfast.kernel.clock import SystemClock
from holdfast.ledger.migrate import assert_unedited, checksum, migrations
from holdfast.ledger.postgres_connection import PatientConnection, Server

_TABLE = """create table if not exists migration (
  number integer primary key,
  name text not null,
  checksum text not null
)"""
_LOCK = """select pg_advisory_xact_lock(
  hashtextextended('holdfast:' || current_schema() || ':migrate', 0))"""
_PATIENCE_S = 600.0


def migrate(server: Server) -> None:
    """Apply what is missing. Raises LedgerUnavailableError, and then nothing was changed."""
    with server.connect(durable=True) as connection:
        connection.patience_s = _PATIENCE_S
        try:
            if _missing(connection):
                _apply_missing(connection)
        except psycopg.Error as error:
            raise server.unavailable("can't be prepared; nothing was changed", error) from None


def is_prepared(dsn: str) -> bool:
    """Say whether a ledger was ever made there. Raises LedgerUnavailableError."""
    server = Server(dsn=dsn, clock=SystemClock())
    with server.connect() as connection:
        try:
            return _has_table(connection)
        except psycopg.Error as error:
            raise server.unavailable("can't be looked at", error) from None


def _has_table(connection: PatientConnection) -> bool:
    row = connection.execute("select to_regclass('migration')::text").fetchone()
    return row is not None and row[0] is not None


def _missing(connection: PatientConnection) -> bool:
    """Look without the lock first: most starts find everything in place."""
    if not _has_table(connection):
        return True
    applied = _applied(connection)
    return any(number not in applied for number, _, _ in migrations("postgres"))


def _applied(connection: PatientConnection) -> dict[int, str]:
    rows = connection.execute("select number, checksum from migration").fetchall()
    applied = {int(number): str(found) for number, found in rows}
    for number, name, sql in migrations("postgres"):
        if number in applied:
            assert_unedited(name, applied[number], checksum(sql))
    return applied


def _apply_missing(connection: PatientConnection) -> None:
    with connection.transaction():
        connection.execute("set local statement_timeout = 0")
        connection.execute("set local idle_in_transaction_session_timeout = 0")
        connection.execute(_LOCK)
        connection.execute(_TABLE)
        applied = _applied(connection)
        for number, name, sql in migrations("postgres"):
            if number not in applied:
                connection.execute(sql.encode())
                connection.execute(
                    "insert into migration values (%s, %s, %s)", (number, name, checksum(sql))
                )
