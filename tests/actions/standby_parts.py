"""A real standby beside a real primary, and the server's own word about promotions."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from holdfast.actions.postgres_pair import statement
from holdfast.kernel.catalogue import Catalogue, Service
from tests import real_parts
from tests.io_parts import catalogue
from tests.real_parts import Postgres

NOWHERE = "host=/nonexistent user=postgres dbname=postgres"


@contextmanager
def started_standby(primary: Postgres) -> Iterator[Postgres]:
    """Copy the primary with pg_basebackup and follow it."""
    user = "nobody" if os.geteuid() == 0 else None
    directory = real_parts.short_directory("sb", user)
    binaries = real_parts._postgres_binaries(directory, user)
    data = directory / "data"
    copy = [
        str(binaries / "pg_basebackup"), "-d", primary.dsn, "-D", str(data), "-R", "-X", "stream",
        "--checkpoint=fast", "--no-sync",
    ]  # fmt: skip
    made = subprocess.run(copy, check=False, capture_output=True, user=user, cwd=directory)
    assert made.returncode == 0, f"pg_basebackup failed: {made.stderr.decode(errors='replace')}"
    argv = [
        str(binaries / "postgres"), "-D", str(data), "-c", "listen_addresses=",
        "-c", f"unix_socket_directories={directory}", "-c", "shared_buffers=16MB", "-c", "fsync=off",
    ]  # fmt: skip
    keeper = real_parts.keep(argv, directory, user=user, stop="SIGQUIT", again=True)
    dsn = f"host={directory} user=postgres dbname=postgres"
    server = Postgres(dsn=dsn, keeper=keeper, directory=directory)
    try:
        real_parts.until(lambda: real_parts._answers(server), keeper, directory)
        yield server
    finally:
        real_parts.end(keeper)


def promotions(server: Postgres) -> int:
    """Count how often the server was told to promote, by its own log."""
    assert server.directory
    log = (server.directory / "server.log").read_text(errors="replace")
    return log.count("received promote request")


def in_recovery(server: Postgres) -> bool:
    return bool(rows(server, "select pg_is_in_recovery()")[0][0])


def rows(server: Postgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def make_tokens(primary: Postgres) -> None:
    primary.execute(statement("table"))


def wait_for(standby: Postgres, query: str) -> None:
    """Wait until the standby has replayed what the query finds."""
    assert standby.keeper
    assert standby.directory
    real_parts.until(lambda: bool(rows(standby, query)), standby.keeper, standby.directory)


def described(primary_dsn: str, standby_dsn: str) -> Catalogue:
    failover = {"primary": {"dsn": primary_dsn}, "standby": {"dsn": standby_dsn}}
    return catalogue(Service(name="orders", control={"failover": failover}), Service(name="shop"))


def socket_of(server: Postgres) -> Path:
    assert server.directory
    return server.directory / ".s.PGSQL.5432"
