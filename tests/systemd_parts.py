"""A real systemd for tests: an instance for a user, in a mount namespace and a cgroup of its own.

It refuses to run where the machine was not booted with systemd, so it is shown a /run that says
otherwise; nothing outside of the namespace is changed. That needs root. Its socket lies in a short
directory, where the real systemctl finds it by XDG_RUNTIME_DIR.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real_parts import end, keep, short_directory, until

SYSTEMD = Path("/usr/lib/systemd/systemd")
SYSTEMCTL = "/usr/bin/systemctl"
# Where it is run: $1 is the cgroup, $2 the directory, $3 systemd.
ENTER = 'echo $$ > "$1/cgroup.procs"; exec unshare --mount --cgroup sh -ec "$0" sh "$2" "$3"'
INSIDE = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export XDG_RUNTIME_DIR="$1/run" XDG_CONFIG_HOME="$1/config" HOME="$1"
exec "$2" --user --unit=basic.target
"""
# Writes a line for each start, and dies with systemd, however that ends.
PROGRAM = (
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
    "ExecStart=/bin/sh -c 'echo >> {directory}/%p.starts;"
    " exec setpriv --pdeathsig KILL sleep 3600'\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSystemd:
    """A running instance. `run` tells it something, as a person would."""

    directory: Path

    @property
    def runtime_dir(self) -> str:
        return str(self.directory / "run")

    def run(self, *arguments: str) -> str:
        found = subprocess.run(
            [SYSTEMCTL, "--user", "--no-pager", *arguments],
            env={"XDG_RUNTIME_DIR": self.runtime_dir, "PATH": os.environ["PATH"]},
            capture_output=True,
            check=False,
            text=True,
        )
        return found.stdout + found.stderr

    def property(self, unit: str, name: str) -> str:
        return self.run("show", "--value", f"--property={name}", unit).strip()

    def starts(self, unit: str) -> int:
        """Count how often a unit's program was really started: it writes a line each time."""
        log = self.directory / f"{unit}.starts"
        return len(log.read_text().splitlines()) if log.exists() else 0


@contextmanager
def started_systemd(units: dict[str, str]) -> Iterator[OwnSystemd]:
    """Start systemd with these units, none of them running; `{directory}` is filled in."""
    if not SYSTEMD.exists() or shutil.which("setpriv") is None:
        pytest.skip("systemd is not installed; apt-get install systemd util-linux")
    mounted = _cgroups()
    if mounted is None or not _may_unshare():
        # The first words are what HOLDFAST_LEFT_OUT names, see conftest.
        pytest.skip("own systemd: it needs root, for its namespaces, and a writable cgroup2")
    directory = short_directory("sd")
    for name, text in units.items():
        unit = directory / "config" / "systemd" / "user" / f"{name}.service"
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(text.replace("{directory}", str(directory)))
    (directory / "run").mkdir(mode=0o700)
    cgroup = mounted / directory.name
    cgroup.mkdir()
    argv = ["sh", "-ec", ENTER, INSIDE, str(cgroup), str(directory), str(SYSTEMD)]
    keeper = keep(argv, directory)
    try:
        until((directory / "run" / "systemd" / "private").exists, keeper, directory)
        yield OwnSystemd(directory=directory)
    finally:
        end(keeper)
        for path, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()


def _may_unshare() -> bool:
    asked = ["unshare", "--mount", "--cgroup", "true"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def _cgroups() -> Path | None:
    """Find where the second version of cgroups is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return Path(place)
    return None
