"""Hands a packet to a successor who has nothing else: the ledger is out of reach meanwhile.

Rule: the successor is a process of its own that gets the packet's JSON and where the targets are.
While it runs Holdfast is stopped (SIGSTOP) and its directory lies under another name, so that
whatever the successor knows it knows from these two.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.sandbox.site import READONLY_ROLE, Site

SUCCESSOR = (sys.executable, "-m", "holdfast.sandbox.successor")
TIMEOUT_S = 20.0


class Succession:
    """Asks a successor. `pid` tells which process serves now, if any does."""

    def __init__(self, site: Site, directory: Path, pid: Callable[[], int | None]) -> None:
        self._site = site
        self._directory = directory
        self._pid = pid

    def named(self, packet: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a successor names: `kind`, `targets`, `not_again` and what it saw."""
        told = json.dumps({"packet": packet, "targets": targets(self._site)})
        with self._hidden():
            process = subprocess.Popen(
                SUCCESSOR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=_bare_environment(),
                start_new_session=True,
            )
            try:
                out, err = process.communicate(told, timeout=TIMEOUT_S)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        try:
            named: dict[str, Any] = json.loads(out)
        except ValueError as error:
            raise HoldfastError(f"the successor named nothing; it said: {err[-400:]}") from error
        return named

    @contextlib.contextmanager
    def _hidden(self) -> Iterator[None]:
        """Stop Holdfast and move its directory away; bring both back whatever happens."""
        away = self._directory.with_name(f"{self._directory.name}-out-of-reach")
        pid = self._pid()
        with contextlib.ExitStack() as back:
            if pid is not None:
                os.kill(pid, signal.SIGSTOP)
                back.callback(os.kill, pid, signal.SIGCONT)
            self._directory.rename(away)
            back.callback(away.rename, self._directory)
            yield


def targets(site: Site) -> dict[str, Any]:
    """Where each target is looked at, as an operator's own notes would say."""
    shape = site.blueprint
    return {
        "flags": {"service": shape.api, "file": str(site.flag_file), "flag": shape.flag},
        "balancer": {"service": shape.api, "socket": str(site.balancer_socket)},
        "supervisor": {"socket": str(site.supervisor_socket), "services": list(shape.supervised)},
        "database": {"service": shape.database, "standby": site.standby_dsn(READONLY_ROLE)},
    }


def _bare_environment() -> dict[str, str]:
    """The environment without anything that leads to Holdfast."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST")}
