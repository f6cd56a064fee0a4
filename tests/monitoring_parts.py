"""Real monitoring for tests: Prometheus, its node exporter and Alertmanager, from their packages.

Everything listens on loopback at a port of its own and keeps its files below the directory it is
given. What a keeper starts ends with this process, however it ends. A missing binary skips the
test and says which package has it.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.real_parts import START_S, end, keep, until

TRIES = 3
QUIET = "--log.level=warn"
# The service discovery keeps its first targets back for five seconds, and so the first scrape
# and the first alert: start Prometheus early. Without this, scraping waits once more.
AT_ONCE = "--scrape.discovery-reload-interval=50ms"
TEXTFILES = "textfiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A running server: where it answers, and the directory that it keeps its files in."""

    url: str
    directory: Path
    keeper: "subprocess.Popen[bytes]"

    @property
    def address(self) -> str:
        """Give host:port, as a scrape target names it."""
        return self.url.removeprefix("http://")

    def get(self, path: str) -> bytes:
        """Read one page. Raises httpx2.HTTPError when it does not answer with 200."""
        return httpx2.get(f"{self.url}{path}").raise_for_status().content

    def post(self, path: str) -> None:
        """Ask for something without saying more: `/-/reload` reads the configuration again."""
        httpx2.post(f"{self.url}{path}").raise_for_status()


@contextmanager
def started_prometheus(tmp_path: Path, config: str, *options: str) -> Iterator[Monitor]:
    """Start Prometheus with this configuration (YAML), with nothing stored yet.

    Rules of the configuration are found beside it: `rule_files: [rules.yaml]` is
    `tmp_path/"prometheus"/"rules.yaml"`, which may be written before.
    """
    directory = tmp_path / "prometheus"
    argv = [
        "--config.file", str(_written(directory, "prometheus.yaml", config)),
        "--storage.tsdb.path", str(directory / "data"),
        "--web.enable-lifecycle", AT_ONCE, QUIET, *options,
    ]  # fmt: skip
    with _started("prometheus", argv, directory, "/-/ready") as server:
        yield server


@contextmanager
def started_alertmanager(tmp_path: Path, config: str, *options: str) -> Iterator[Monitor]:
    """Start one Alertmanager, without a cluster, with this configuration (YAML)."""
    directory = tmp_path / "alertmanager"
    argv = [
        "--config.file", str(_written(directory, "alertmanager.yaml", config)),
        "--storage.path", str(directory / "data"),
        "--cluster.listen-address=", QUIET, *options,
    ]  # fmt: skip
    with _started("prometheus-alertmanager", argv, directory, "/-/ready") as server:
        yield server


@contextmanager
def started_node_exporter(tmp_path: Path, *collectors: str) -> Iterator[Monitor]:
    """Start a node exporter with these collectors and the one for text files.

    It serves what `say` writes.
    """
    directory = tmp_path / "node-exporter"
    (directory / TEXTFILES).mkdir(parents=True)
    argv = [
        "--collector.disable-defaults", "--collector.textfile",
        "--collector.textfile.directory", str(directory / TEXTFILES), QUIET,
        *(f"--collector.{name}" for name in collectors),
    ]  # fmt: skip
    with _started("prometheus-node-exporter", argv, directory, "/metrics") as server:
        yield server


def say(exporter: Monitor, text: str) -> None:
    """Have the exporter serve these lines of the text format from its next scrape on."""
    folder = exporter.directory / TEXTFILES
    written = folder / "said.prom.new"
    written.write_text(text)
    written.rename(folder / "said.prom")


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Look again and again until this holds."""
    give_up = time.monotonic() + START_S
    while not holds():
        assert time.monotonic() < give_up, f"it never came to this: {what}"
        time.sleep(0.02)


def free_address() -> str:
    """Give a loopback address where nobody listens now; somebody may before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _written(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    return directory / name


@contextmanager
def _started(program: str, argv: list[str], directory: Path, ready: str) -> Iterator[Monitor]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {program}")
    server = _first_up([found, *argv], directory, ready)
    try:
        yield server
    finally:
        end(server.keeper)


def _first_up(argv: list[str], directory: Path, ready: str) -> Monitor:
    """Start it at a free port; another process may take that first, so a few are tried."""
    for last in (*[False] * (TRIES - 1), True):
        address = free_address()
        keeper = keep([*argv, f"--web.listen-address={address}"], directory, stop="SIGKILL")
        server = Monitor(url=f"http://{address}", directory=directory, keeper=keeper)
        try:
            until(lambda server=server: _answers(server, ready), keeper, directory)  # type: ignore[misc]
        except RuntimeError as error:
            end(keeper)
            if last or "address already in use" not in str(error):
                raise
        else:
            return server
    raise AssertionError("one of the tries ends this")


def _answers(server: Monitor, path: str) -> bool:
    try:
        server.get(path)
    except httpx2.HTTPError:
        return False
    return True
