"""The servers of the tests leave nothing behind, not even when the tests are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STARTS_ALL = """
import os, sys, time
from pathlib import Path
from tests.io_parts import supervised
from tests.real_parts import started_postgres, started_valkey
from tests.supervisord_parts import started_supervisord
from holdfast.actions.supervisord import Deadline, Supervisord
from holdfast.kernel.clock import SystemClock
with started_postgres() as p, started_valkey() as v, started_supervisord("worker") as s:
    Supervisord(socket_path=str(s.socket)).start("worker", Deadline.after(SystemClock(), 20))
    for server in (p, v, s):
        print(server.keeper.args[server.keeper.args.index("--remove") + 1])
    print("up", flush=True)
    sys.stdin.read()
"""


def processes_of(directories: list[str]) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue  # it has just ended
            if any(directory in line for directory in directories):
                found.append(f"{entry.name} {line}")
    return found


@pytest.mark.crash
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_killing_a_test_process_leaves_no_server_and_no_directory() -> None:
    root = Path(__file__).parents[1]
    owner = subprocess.Popen(
        [sys.executable, "-c", STARTS_ALL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
    )
    assert owner.stdin
    assert owner.stdout
    directories = [line.strip() for line in iter(owner.stdout.readline, "up\n")]
    assert len(directories) == 3
    assert len(processes_of(directories)) >= 6

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    while processes_of(directories) or any(map(os.path.exists, directories)):
        pass  # the time limit of the test is the judge
    owner.stdin.close()
    owner.stdout.close()
