"""Where one platform lives: its directories, sockets and ports, as every process of it sees them.

Rule: written once by the platform before anything starts, read by each process
from `site.json`. No process finds anything by searching.
"""

import json
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.processes import LINUX

SOCKET_PATH_MAX = 92  # sun_path holds 108 bytes on Linux and 104 on macOS; PostgreSQL adds its name
GLOBAL = "global"  # the region of what runs once for all regions
STORES = "stores"  # the port of the exporter that speaks for the database and the cache
DATABASE = "shop"
OWNER_ROLE = "shop_owner"
FENCE = "bar-the-old-primary"  # also what Holdfast's configuration calls it
READONLY_ROLE = "holdfast_readonly"
FAILOVER_ROLE = "holdfast_failover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One platform's places. `run` holds sockets and the database's files, `root` all else."""

    blueprint: Blueprint
    root: Path
    run: Path
    ports: Mapping[str, int]

    @property
    def file(self) -> Path:
        return self.root / "site.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def control(self) -> Path:
        """What the sandbox tells its own processes: traffic orders, who must stay down."""
        return self.root / "control"

    @property
    def observed(self) -> Path:
        """What the observers write. Holdfast's configuration never names it."""
        return self.root / "observed"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid_file(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def balancer_socket(self) -> Path:
        """The runtime socket of the sandbox's load balancer."""
        return self.run / "balancer.sock"

    @property
    def cache_socket(self) -> Path:
        return self.run / "valkey.sock"

    @property
    def database_directory(self) -> Path:
        return self.run / "postgres"

    @property
    def standby_directory(self) -> Path:
        return self.run / "standby"

    @property
    def standby_socket_directory(self) -> Path:
        return self.run / "sb"

    @property
    def pool_socket_directory(self) -> Path:
        return self.run / "pool"

    @property
    def flag_file(self) -> Path:
        return self.root / "flags" / "flags.json"

    @property
    def temp(self) -> Path:
        """Where the printer keeps its drafts; its size is limited by the blueprint."""
        return self.root / "temp"

    @property
    def bar_file(self) -> Path:
        """Below which timeline the pooler takes no server. The fence writes it."""
        return self.control / "pool-bar"

    @property
    def fence(self) -> Path:
        """The program that bars the first server in the pooler, before the second is promoted."""
        return self.control / FENCE

    def dsn(self, role: str = OWNER_ROLE, database: str = DATABASE) -> str:
        """Reach the first server: the primary, until there was a failover."""
        return f"host={self.run} port=5432 dbname={database} user={role}"

    def standby_dsn(self, role: str = OWNER_ROLE, database: str = DATABASE) -> str:
        """Reach the second server: the standby, until there was a failover."""
        return f"host={self.standby_socket_directory} port=5432 dbname={database} user={role}"

    def primary_dsn(self, role: str = OWNER_ROLE, database: str = DATABASE) -> str:
        """Reach the primary of now directly. The second server is asked first.

        Once it was promoted, a first server that takes writes is a primary of the past.
        """
        hosts = f"{self.standby_socket_directory},{self.run}"
        place = f"host={hosts} port=5432,5432 target_session_attrs=primary"
        return f"{place} dbname={database} user={role}"

    def pool_dsn(self, role: str = OWNER_ROLE, database: str = DATABASE) -> str:
        """Reach whichever server is the primary, as the services do: through the pooler."""
        return f"host={self.pool_socket_directory} port=5432 dbname={database} user={role}"

    def port(self, service: str, region: str) -> int:
        return self.ports[process_name(service, region)]

    def url(self, service: str, region: str, path: str) -> str:
        return f"http://127.0.0.1:{self.port(service, region)}{path}"

    def store_url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[STORES]}/{service}/metrics"

    def processes(self) -> tuple[tuple[str, str], ...]:
        """List (service, region) of everything that supervisord runs for the platform's users."""
        shape = self.blueprint
        regional = tuple((s, r) for s in shape.regional for r in shape.regions)
        return (*((s, GLOBAL) for s in shape.single), *regional)

    def save(self) -> None:
        document = {
            "blueprint": self.blueprint.to_json(),
            "root": str(self.root),
            "run": str(self.run),
            "ports": dict(self.ports),
        }
        self.file.write_text(json.dumps(document, indent=1), encoding="utf-8")


def safe_to_run(program: Path) -> bool:
    """Whether nobody but root and us can exchange a program, which also can be run where it lies.

    Holdfast runs no other, and a sandbox in an odd place does without it.
    """
    if not os.access(program, os.X_OK):
        return False
    way = [program.resolve().lstat(), *(p.stat() for p in program.resolve().parents)]
    owned = all(seen.st_uid in {0, os.geteuid()} for seen in way)
    return owned and all(
        not seen.st_mode & stat.S_IWOTH
        or (stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX)
        for seen in way
    )


def load_site(file: Path) -> Site:
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Site(
        blueprint=Blueprint.from_json(document["blueprint"]),
        root=Path(document["root"]),
        run=Path(document["run"]),
        ports=document["ports"],
    )


def process_name(service: str, region: str) -> str:
    """How supervisord calls the process of `service` in `region`."""
    return service if region == GLOBAL else f"{service}-{region}"


def front_name(region: str) -> str:
    """How the balancer's port for the users of a region is called."""
    return f"front-{region}"


def extra_name(service: str, region: str, number: int) -> str:
    """How supervisord calls a further process of `service`, one that is started when needed."""
    return f"{process_name(service, region)}-extra-{number}"


def build_directories(root: Path) -> Path:
    """Make the platform's directories under `root` and return the one for sockets."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o711)  # as root the database runs as another user, who must be able to pass
    for name in ("logs", "releases", "control", "observed", "flags", "temp"):
        (root / name).mkdir(exist_ok=True)
    return _run_directory(root)


def _run_directory(root: Path) -> Path:
    wanted = root / "run"
    if len(str(wanted)) <= SOCKET_PATH_MAX - 24 and (os.geteuid() != 0 or passable(root)):
        wanted.mkdir(exist_ok=True)
        wanted.chmod(0o711)
        return wanted
    short = Path(tempfile.mkdtemp(prefix="holdfast-run-"))
    short.chmod(0o711)
    return short


def passable(path: Path) -> bool:
    """Whether any user may walk through every directory on the way to `path`."""
    resolved = path.resolve()
    return all(p.stat().st_mode & stat.S_IXOTH for p in (resolved, *resolved.parents) if p.is_dir())


class ReservedPorts:
    """Ports that are ours for as long as this object lives.

    Each is bound (not listening) with SO_REUSEPORT: only a process of the same user that also
    sets the option can listen there, and until one does a connection is refused, as it must be
    for a service that is down. Two platforms side by side therefore never clash. Linux only: other
    kernels may hand a connection to the socket that does not listen, so there the ports are merely
    free ones of a moment ago.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._sockets = {name: bound_socket(0) for name in names}
        self.ports = {name: s.getsockname()[1] for name, s in self._sockets.items()}
        if not LINUX:
            self.close()

    def close(self) -> None:
        for held in self._sockets.values():
            held.close()


def bound_socket(port: int) -> socket.socket:
    """Bind a loopback port that its owner shares with the sandbox's reservation."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock
