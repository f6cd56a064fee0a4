"""The two database servers as a pair: one primary, one standby that streams from it.

Rule: the standby begins as a copy of a cluster on which nothing has run yet, so that it is
there as soon as the primary; whatever the primary does from its first moment on comes to it
through the write-ahead log. A server comes back after a failover only as a fresh copy.
"""

import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from holdfast.kernel import HoldfastError
from holdfast.sandbox import processes
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.postgres import (
    SUPERUSER,
    make_cluster,
    private_directory,
    run_tool,
    server_identity,
    start_server,
)
from holdfast.sandbox.services.upstream import STANDING
from holdfast.sandbox.site import Site

STREAM_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0
_STREAMS = "SELECT true FROM pg_stat_replication WHERE state = 'streaming'"


class DatabasePair:
    """Both servers of one platform. The first is the primary until there was a failover."""

    def __init__(self, site: Site, link: KeeperLink) -> None:
        self._site = site
        self._link = link

    def start(self) -> None:
        """Make both and start both. They may not answer yet."""
        site = self._site
        write_fence(site)
        first = make_cluster(site)
        private_directory(site.standby_socket_directory)
        shutil.copytree(first, site.standby_directory, copy_function=shutil.copy)
        _own(site.standby_directory)
        _mark_as_standby(site.standby_directory)
        self.start_first()
        self.start_second()

    def start_first(self) -> int:
        """Start the first server on the files it has, whatever it then believes to be."""
        return self._start(self._site.database_directory)

    def start_second(self) -> int:
        return self._start(self._site.standby_directory)

    def kill_first(self) -> None:
        """Stop the first server at once, as a crash does, and return when all of it is gone.

        SIGQUIT and not SIGKILL: the server ends as hard, but its shared memory goes with it.
        """
        self._stop(self._site.database_directory, signal.SIGQUIT)

    def lift_bar(self) -> None:
        """Let the first server be used again: nothing came of the promotion."""
        self._site.bar_file.unlink(missing_ok=True)

    def rejoin_first(self) -> None:
        """Rebuild the first server as a standby of the second: a fresh copy, nothing of the old."""
        site = self._site
        data = site.database_directory
        self._stop(data, signal.SIGINT)
        shutil.rmtree(data)
        private_directory(data)
        source = site.standby_dsn(SUPERUSER, SUPERUSER)
        argv = ["pg_basebackup", "-d", source, "-D", str(data), "-X", "stream"]
        run_tool(site, [*argv, "--checkpoint=fast", "--no-sync"])
        _mark_as_standby(data)
        self._start(data)

    def wait_until_streaming(self, *, from_second: bool = False) -> None:
        """Return when one server streams from the other and has all that was written by now."""
        site = self._site
        first, second = site.dsn(SUPERUSER, SUPERUSER), site.standby_dsn(SUPERUSER, SUPERUSER)
        primary, standby = (second, first) if from_second else (first, second)
        written = ask(primary, "SELECT pg_current_wal_flush_lsn()::text") or "0/0"
        caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        _until(
            lambda: ask(primary, _STREAMS) is True and ask(standby, caught_up) is True,
            STREAM_TIMEOUT_S,
            f"no standby streams from the primary after {STREAM_TIMEOUT_S:.0f} s; see {site.logs}",
        )

    @property
    def failed_over(self) -> bool:
        """Whether the second server takes writes, so that the first must not any more."""
        return timeline_at(self._site.standby_dsn()) > 0

    @property
    def first_follows(self) -> bool:
        """Whether the first server is a standby now."""
        return timeline_at(self._site.dsn()) == 0

    def _start(self, data: Path) -> int:
        site = self._site
        first = data == site.database_directory
        sockets, other = (
            (site.run, site.standby_socket_directory)
            if first
            else (site.standby_socket_directory, site.run)
        )
        follow = f"host={other} port=5432 user={SUPERUSER} application_name={data.name}"
        return start_server(site, self._link, data, sockets, follow)

    def _stop(self, data: Path, sig: int) -> None:
        pid = postmaster(data)
        if pid is None:
            return  # it does not run
        family = {pid, *processes.descendants(pid)}
        born = {member: processes.started_at(member) for member in family}
        processes.send(pid, sig)
        _until(
            lambda: all(
                mark is None or processes.started_at(member) != mark
                for member, mark in born.items()
            ),
            STOP_TIMEOUT_S,
            f"PostgreSQL in {data} did not stop within {STOP_TIMEOUT_S:.0f} s",
        )


def write_fence(site: Site) -> None:
    """Write the program that `failover_db` runs before it promotes the second server.

    The first begins on timeline 1, and every promotion begins a new one. Doing it twice is doing
    it once, and a server that rejoins is on the new one.
    """
    bar = shlex.quote(str(site.bar_file))
    site.fence.write_text(
        f"#!/bin/sh\n# Bars the first server in the pooler.\nset -e\n"
        f"echo 2 > {bar}.new\nmv {bar}.new {bar}\n",
        encoding="utf-8",
    )
    site.fence.chmod(0o700)


def postmaster(data: Path) -> int | None:
    """The pid of the server that runs on this directory; None when none does."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    return pid if processes.started_at(pid) is not None else None


def timeline_at(dsn: str) -> int:
    """The timeline on which the server at `dsn` takes writes; 0 for a standby, -1 for silence."""
    told = ask(dsn, STANDING)
    return told if isinstance(told, int) else -1


def ask(dsn: str, query: str) -> object:
    """Give the first value of the answer; None when the server did not answer."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
    except psycopg.OperationalError:
        return None
    return row[0] if row else None


def _mark_as_standby(data: Path) -> None:
    (data / "standby.signal").touch()
    _own(data / "standby.signal")


def _own(path: Path) -> None:
    if identity := server_identity():
        for member in (path, *path.rglob("*")):
            os.chown(member, *identity)


def _until(is_true: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise HoldfastError(otherwise)
        time.sleep(0.02)
