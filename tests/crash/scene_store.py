"""The store of a scene: a file of its own, or a schema of its own on a durable server.

Server and database are made once for each process, since that takes longer than most cases; the
server is stopped hard and started again as often as a case likes.
"""

import atexit
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from tests.crash.matrix import Case
from tests.real_parts import Postgres, started_postgres

DATABASE = "crash_scenes"
_NUMBERS = itertools.count()
_OPEN = ExitStack()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where the ledger of a scene is. `through` gives the URL that leads through another socket."""

    url: str
    server: Postgres | None = None
    socket: Path | None = None
    through: Callable[[Path], str] = field(default=str)

    def jump(self, ahead_s: float) -> None:
        """Put the server's clock so far ahead, as the ledger's queries read it, for every session."""
        if self.server is None:
            return
        self.server.execute(
            f"ALTER DATABASE {DATABASE} SET holdfast.ahead_s = '{ahead_s}'",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'",  # noqa: S608 - ours
        )


@cache
def durable_server() -> Postgres:
    """Start the server of this process; it ends with it."""
    server = _OPEN.enter_context(started_postgres("max_connections=200", durable=True))
    atexit.register(_OPEN.close)
    server.execute(f"CREATE DATABASE {DATABASE}")
    return server


@contextmanager
def store_of(case: Case) -> Iterator[Store]:
    """Make an empty store for a case."""
    if case.store == "sqlite":
        url = f"sqlite:///{case.directory}/ledger.db"
        yield Store(url=url, through=lambda _: url)
        return
    server = durable_server()
    assert server.directory
    schema = f"case_{next(_NUMBERS)}"
    server.execute(f"CREATE SCHEMA {schema}", name=DATABASE)
    options = quote(f"-csearch_path={schema}", safe="")

    def at(folder: Path) -> str:
        host = quote(str(folder), safe="")
        return f"postgresql://postgres@/{DATABASE}?host={host}&options={options}"

    socket = server.directory / ".s.PGSQL.5432"
    try:
        yield Store(url=at(server.directory), server=server, socket=socket, through=at)
    finally:
        server.execute(f"ALTER DATABASE {DATABASE} RESET ALL")
        server.execute(f"DROP SCHEMA {schema} CASCADE", name=DATABASE)
