"""A real supervisord for tests, started once for each test process, and the programs that it runs."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real_parts import KEEPER, end, keep, short_directory, until

PROGRAM = Path(__file__).with_name("supervised_program.sh")

SUPERVISORD = """
[unix_http_server]
file={directory}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
nodaemon=true
logfile={directory}/log
pidfile={directory}/pid
childlogdir={directory}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """A running supervisord. Each program obeys files called after it in `directory`."""

    socket: Path
    directory: Path
    keeper: "subprocess.Popen[bytes]"

    def tell(self, process: str, *orders: str) -> None:
        """Give a program its orders: `fail`, `stubborn`, `noisy`; none at all makes it behave."""
        (self.directory / process).write_text(" ".join(orders))

    def starts(self, process: str) -> int:
        """Count how often the program was really started: it writes a line each time."""
        log = self.directory / f"{process}.starts"
        return len(log.read_text().splitlines()) if log.exists() else 0


@contextmanager
def started_supervisord(*processes: str, more: str = "") -> Iterator[Orchestrator]:
    """Start supervisord with these programs, all of them stopped; `more` is added to its file."""
    directory = short_directory("sv")
    sections = [
        SUPERVISORD.format(directory=directory) + ("user=root\n" if os.geteuid() == 0 else "")
    ]
    for process in processes:
        becomes = f"{sys.executable} -S {KEEPER} --exec -- sleep 3600"
        command = f"/bin/sh {PROGRAM} {directory}/{process} {becomes}"
        sections.append(
            f"[program:{process}]\ncommand={command}\nautostart=false\nautorestart=false\n"
            # None at all would not do: the program is to have noted its start by then.
            "startsecs=1\nstartretries=0\nstopwaitsecs=30\n"
        )
    (directory / "conf").write_text("\n".join([*sections, more]))
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(directory / "conf")]
    keeper = keep(argv, directory)
    try:
        until(lambda: _listens(directory / "s"), keeper, directory)
        yield Orchestrator(socket=directory / "s", directory=directory, keeper=keeper)
    finally:
        for process in processes:
            if directory.exists():  # gone with a supervisord that was killed
                (directory / process).write_text("")
        end(keeper)


def _listens(path: Path) -> bool:
    """Ask by a connection: a socket's file is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        return door.connect_ex(str(path)) == 0


@pytest.fixture(scope="session")
def supervisord() -> Iterator[Orchestrator]:
    with started_supervisord("api-north", "api-south", "worker") as orchestrator:
        yield orchestrator
