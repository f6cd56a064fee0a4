"""A real Unleash for tests, installed once by npm into the user's cache and kept there.

It needs node and npm and, the first time, half a minute; then it starts in four seconds on a database
of the tests' own PostgreSQL. What it listens on is loopback, and a keeper ends it with this
process. Where node or npm is absent the test is skipped with what to install.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.real_parts import Postgres, end, keep, short_directory, until

VERSION = "6.10.1"  # the newest that runs on Node 18, which Debian 12 has
INSTALL_S = 300.0
ENVIRONMENT = "production"
_START = """
require('unleash-server').start(JSON.parse(process.argv[1]))
  .catch((error) => { console.error(error); process.exit(1); });
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unleash:
    """A running server with an admin token."""

    url: str
    token: str = field(repr=False)
    keeper: "subprocess.Popen[bytes]"

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        """Ask the admin API. Raises httpx2.HTTPError for an answer that is none of success."""
        return httpx2.request(
            method,
            f"{self.url}/api/admin/{path}",
            json=body,
            headers=headers or {"Authorization": self.token},
        ).raise_for_status()

    def make_flag(self, name: str, *, on: bool = True) -> None:
        self.ask("POST", "projects/default/features", {"name": name})
        if on:
            self.turn(name, "on")

    def turn(self, name: str, to: str) -> None:
        self.ask("POST", f"projects/default/features/{name}/environments/{ENVIRONMENT}/{to}")

    def is_on(self, name: str) -> bool:
        there = self.ask("GET", f"projects/default/features/{name}").json()["environments"]
        return bool(next(each["enabled"] for each in there if each["name"] == ENVIRONMENT))

    def happened(self, name: str) -> list[str]:
        """List the kinds of the flag's events, the newest first: the server's own count."""
        return [each["type"] for each in self.ask("GET", f"events/{name}").json()["events"]]

    def token_of(self, role_name: str) -> str:
        """Make a person with a role (`Viewer`, `Editor`), and give their own token."""
        roles = self.ask("GET", "user-admin").json()["rootRoles"]
        role = next(each["id"] for each in roles if each["name"] == role_name)
        name, password = f"person-{secrets.token_hex(4)}", f"Aa1!{secrets.token_hex(12)}"
        person = {"username": name, "password": password, "rootRole": role, "sendEmail": False}
        self.ask("POST", "user-admin", person)
        with httpx2.Client(base_url=self.url) as session:
            login = {"username": name, "password": password}
            session.post("/auth/simple/login", json=login).raise_for_status()
            made = session.post(
                "/api/admin/user/tokens",
                json={"description": "t", "expiresAt": "2099-01-01T00:00:00Z"},
            )
            return str(made.raise_for_status().json()["secret"])


@contextmanager
def started_unleash(postgres: Postgres) -> Iterator[Unleash]:
    folder = _installed()
    node = shutil.which("node")
    assert node
    token = f"*:*.{secrets.token_hex(16)}"
    with postgres.database() as database, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        held.close()
        directory = short_directory("un")
        settings = {
            "db": _database(database.dsn),
            "server": {"port": port, "host": "127.0.0.1", "gracefulShutdownEnable": False},
            "logLevel": "error", "versionCheck": {"enable": False}, "disableScheduler": True,
        }  # fmt: skip
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(directory), "NODE_PATH": str(folder),
            "NODE_ENV": "production", "INIT_ADMIN_API_TOKENS": token,
            "CHECK_VERSION": "false", "SEND_TELEMETRY": "false", "UNLEASH_HSTS": "false",
        }  # fmt: skip
        given = [f"{name}={value}" for name, value in environment.items()]
        argv = ["/usr/bin/env", "-i", *given, node, "-e", _START, json.dumps(settings)]
        keeper = keep(argv, directory, stop="SIGKILL")
        server = Unleash(url=f"http://127.0.0.1:{port}", token=token, keeper=keeper)
        try:
            until(lambda: _answers(server), keeper, directory)
            yield server
        finally:
            end(keeper)


def _installed() -> Path:
    """Give the folder of modules, installing them the first time; one process does it for all."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: apt-get install nodejs npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast-tests"
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"unleash-server-{VERSION}"
    with (cache / "unleash.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            _install(npm, place)
    return place / "node_modules"


def _install(npm: str, place: Path) -> None:
    """Install beside the place and rename: what was interrupted is not taken for whole."""
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        (made / "package.json").write_text('{"private": true}\n')
        options = ["--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund"]
        argv = [npm, "install", *options, "--save-exact", f"unleash-server@{VERSION}"]
        done = subprocess.run(argv, cwd=made, check=False, capture_output=True, timeout=INSTALL_S)
        if done.returncode != 0:
            pytest.skip(f"npm could not install Unleash: {done.stderr.decode(errors='replace')}")
        made.rename(place)


def _database(dsn: str) -> Mapping[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(dsn)
    return {
        "host": given.get("host", "127.0.0.1"),
        "port": int(given.get("port") or 5432),
        "user": given.get("user", "postgres"),
        "password": given.get("password") or "",
        "database": given["dbname"],
        "ssl": False,
        "pool": {"min": 0, "max": 3},
    }


def _answers(server: Unleash) -> bool:
    try:
        return httpx2.get(f"{server.url}/health").status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False
