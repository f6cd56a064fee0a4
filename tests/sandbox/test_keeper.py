"""However its owner ends, nothing of a sandbox stays: no process, no directory."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel import HoldfastError
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.catalogue import services_yaml
from holdfast.sandbox.link import ENVIRONMENT_MARK, KeeperLink
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.processes import LINUX, descendants, send, started_at
from tests.sandbox.shopping import metrics, order

OWNER = """
import subprocess, sys
from pathlib import Path
from holdfast.sandbox.platform import Platform
with Platform.start(directory=Path(sys.argv[1])) as platform:
    beside = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    platform.adopt(beside.pid)
    print(platform.link.pid, beside.pid, flush=True)
    sys.stdin.read()
    raise SystemExit(beside.kill())
"""
linux_only = pytest.mark.skipif(not LINUX, reason="needs Linux: parent-death signals and pidfds")


class Owner:
    """A process that holds a platform, and the family it has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.keeper, self.beside = map(int, self.process.stdout.readline().split())
        self.platform = {self.keeper, *descendants(self.keeper)}

    def close(self) -> None:
        self.process.kill()
        send(self.beside, signal.SIGKILL)
        self.process.communicate()


def wait_until_all_have_ended(pids: Iterable[int], timeout_s: float = 20.0) -> None:
    """Wait on the processes themselves: a pidfd becomes readable when its process ends."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([fd], [], [], timeout_s)[0], f"process {pid} still runs"
        finally:
            os.close(fd)


def processes_of(root: Path) -> list[int]:
    """Find every living process whose environment says that it is of this sandbox."""
    mark = f"{ENVIRONMENT_MARK}={root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if started_at(pid) is not None]


@pytest.fixture
def root() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="holdfast-owner-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@linux_only
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_ending_the_owner_leaves_nothing_running(root: Path, sig: signal.Signals) -> None:
    owner = Owner(root)
    assert len(owner.platform) > 12
    os.kill(owner.process.pid, sig)
    wait_until_all_have_ended({owner.beside, *owner.platform})
    owner.close()
    assert processes_of(root) == []
    assert not root.exists()


@linux_only
def test_killing_the_keeper_itself_leaves_nothing_running(root: Path) -> None:
    owner = Owner(root)
    os.kill(owner.keeper, signal.SIGKILL)
    wait_until_all_have_ended(owner.platform)
    owner.close()
    assert processes_of(root) == []


def test_an_exception_ends_a_varied_platform_and_a_kept_directory_keeps_its_logs(
    root: Path,
) -> None:
    family: set[int] = set()

    def use_and_fail() -> None:
        with Platform.start(Blueprint.vary(1), root, keep=True) as platform:
            family.update(descendants(platform.link.pid))
            for region in platform.blueprint.regions:
                order(platform, region, coupon=True)
            assert names_not_told(platform) == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert not any(started_at(pid) for pid in family)
    logs = sorted((root / "logs").glob("*.jsonl"))
    assert len(logs) == 7  # two services in each region, the pooler, the printer, the traffic
    for log in logs:
        for line in log.read_text().splitlines():
            keys = {"at", "severity", "service", "region", "message"}
            assert keys <= json.loads(line).keys()


def names_not_told(platform: Platform) -> list[str]:
    """List the metrics that the catalogue names and no service tells."""
    missing = []
    for service in services_yaml(platform.site)["services"]:
        for url in service["scrape"].values():
            told = metrics(url)
            wanted = [n for form in service["metrics"].values() for n in gauges_and_counters(form)]
            missing += [f"{service['name']}: {name}" for name in wanted if name not in told]
    return missing


def gauges_and_counters(form: dict[str, str | list[str]]) -> list[str]:
    """List the sample names that one signal of the catalogue is read from."""
    match form:
        case {"mean": str(name)}:
            return [f"{name}_sum", f"{name}_count"]
        case {"ratio": [str(above), str(below)]}:
            return [above, below]
        case _:
            return [str(name) for name in form.values()]


def test_a_platform_that_can_not_start_says_why_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_binary() -> Path:
        raise HoldfastError("the sandbox found no Valkey")

    monkeypatch.setattr("holdfast.sandbox.valkey.valkey_binary", no_binary)
    with pytest.raises(HoldfastError, match="found no Valkey"):
        Platform.start(directory=root)
    assert not root.exists()


def test_an_order_that_can_not_be_carried_out_comes_back_as_an_error(tmp_path: Path) -> None:
    link = KeeperLink(tmp_path)
    try:
        with pytest.raises(HoldfastError, match=r"could not start .*no-such-program"):
            link.start(["no-such-program"], log=tmp_path / "log")
    finally:
        link.stop()
    with pytest.raises(HoldfastError, match="has ended"):
        link.adopt(os.getpid())
