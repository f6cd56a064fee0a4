"""Where the ledger of a case is, and how a worker opens it, whatever its clock says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from holdfast.kernel import Clock
from holdfast.ledger import SqliteLedger
from holdfast.response.store import Ledger
from tests.crash.matrix import Case
from tests.crash.parts import QuickClock
from tests.crash.scene_store import durable_server

_DATABASE = "one_by_one"
_TABLES = "select tablename from pg_tables where schemaname = 'public' order by tablename"
_END_OTHERS = """select pg_terminate_backend(pid) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store. `open` gives a ledger whose leases run on this clock, or are as far ahead."""

    url: str

    @property
    def path(self) -> Path:
        """Name the file of a store that is one."""
        return Path(self.url.removeprefix("sqlite:///"))

    def open(self, clock: QuickClock) -> Ledger:
        return self.open_at(clock, clock.ahead_s)

    def open_at(self, clock: Clock, ahead_s: float) -> Ledger:
        """Open it by a clock that is `ahead_s` ahead: for PostgreSQL, whose own clock it is."""
        if self.url.startswith("sqlite:"):
            return SqliteLedger(self.path, clock)
        from holdfast.ledger import PostgresLedger

        return PostgresLedger(self.url, ahead_s=ahead_s)


@contextmanager
def place_of(case: Case) -> Iterator[Place]:
    """Give an empty store for a case: a file, or a database that is emptied for each case."""
    if case.store == "sqlite":
        yield Place(url=f"sqlite:///{case.directory}/ledger.db")
        return
    url = database()
    execute(url, _END_OTHERS)
    execute(url, emptying(url))
    yield Place(url=url)


@cache
def database() -> str:
    """Make the one database of this process: making one takes longer than a case."""
    from holdfast.ledger import PostgresLedger

    server = durable_server()
    assert server.directory
    server.execute(f"create database {_DATABASE}")
    url = f"postgresql://postgres@/{_DATABASE}?host={quote(str(server.directory), safe='')}"
    PostgresLedger(url).close()
    return url


@cache
def emptying(url: str) -> str:
    """Write the statement that brings every table back to what it held when it was new."""
    import psycopg

    statements = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create schema pristine")
        for (name,) in connection.execute(_TABLES).fetchall():
            connection.execute(f"create table pristine.{name} as table public.{name}".encode())
            statements.append(f"delete from public.{name}")  # noqa: S608 - a table of our own
            if connection.execute(f"select from pristine.{name}".encode()).rowcount:
                statements.append(f"insert into public.{name} table pristine.{name}")
    return "; ".join(statements)


def execute(url: str, statement: str) -> None:
    """Do something to a database behind Holdfast's back."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
