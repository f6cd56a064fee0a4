"""The demo as a user runs it: the real program beside a real platform, and nothing of it left."""

import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.kernel import BadInputError
from holdfast.sandbox.demo import run_demo
from holdfast.sandbox.processes import descendants, started_at
from holdfast.sandbox.scene import STAGES

HOLDFAST = (sys.executable, "-m", "holdfast")
ESCAPE = "\x1b"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that, as root, the database's own user may pass through; pytest's is closed."""
    made = Path(tempfile.mkdtemp(prefix="hf-demo-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    """Where the demo leaves its files, and no installation of the caller's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return own | {"TMPDIR": str(place)}


class Demo:
    """A running demo whose output is read line by line."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*HOLDFAST, "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.lines: list[str] = []

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return
        raise AssertionError(f"no {words!r} in {self.lines}: {self.process.communicate()}")

    def family(self) -> dict[int, str | None]:
        """Every process of the demo, with a mark that a successor of its number has not."""
        pids = {self.process.pid, *descendants(self.process.pid)}
        return {pid: started_at(pid) for pid in pids}

    def finish(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=120)
        self.lines += out.splitlines()
        return self.process.returncode, err

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def demos(environment: dict[str, str]) -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.close()


def left_of(family: dict[int, str | None]) -> list[int]:
    return [pid for pid, mark in family.items() if mark is not None and started_at(pid) == mark]


def test_a_scenario_that_is_none_is_refused_before_anything_starts() -> None:
    with pytest.raises(BadInputError, match="no scenario 'flood'; choose one of bad-deploy"):
        run_demo("flood")


def test_a_directory_that_holds_something_is_not_kept_into(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    for taken in (tmp_path, tmp_path / "mine"):
        with pytest.raises(BadInputError, match="is a file or not empty; name a directory"):
            run_demo(keep=taken, out=io.StringIO())


@pytest.mark.acceptance
@pytest.mark.timeout(240)
def test_two_demos_side_by_side_recover_and_prove_it(
    environment: dict[str, str], demos: list[Demo], place: Path
) -> None:
    keep = place / "kept"
    deploy = Demo(environment, "bad-deploy", "--json", "--keep", str(keep))
    demos.append(deploy)
    down = Demo(environment, "service-down")
    demos.append(down)
    down.read_until("warm-up done")
    family = down.family()
    assert len(family) > 14  # the platform, its keeper, Holdfast and the demo itself
    assert deploy.finish() == (0, ""), deploy.lines
    assert down.finish() == (0, ""), down.lines
    told_by_json_and_kept(deploy, keep, environment)
    told_in_plain_lines(down.lines)
    assert left_of(family) == []
    # Of the run that was not kept, nothing but its postmortem is left.
    left = {path.name.rpartition("-")[0] for path in place.iterdir()}
    assert left == {"", "holdfast-demo"}, list(place.iterdir())


def told_by_json_and_kept(demo: Demo, keep: Path, environment: dict[str, str]) -> None:
    document = json.loads("\n".join(demo.lines))  # the one document and nothing else
    assert document["why_not"] == []
    assert document["scenario"] == "bad-deploy"
    assert document["outcome"] == "resolved"
    assert document["root_cause_entity"] == "checkout-api"
    assert document["actions"] == ["rollback_deploy"]
    assert 0 < document["detected_s"] < document["recovered_s"] < 60
    assert document["ledger"]["records"] > 8
    assert "INC-1" in Path(document["postmortem"]).read_text(encoding="utf-8")
    timeline = subprocess.run(
        [*HOLDFAST, "incident", "timeline", "INC-1", "--dir", str(keep / "holdfast")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    ).stdout
    assert "rollback_deploy" in timeline
    assert "RESOLVED" in timeline


def told_in_plain_lines(lines: list[str]) -> None:
    told = "\n".join(lines)
    assert ESCAPE not in told
    records = [line for line in lines if "INC-1 #" in line]
    assert [f"INC-1 #{n} " in line for n, line in enumerate(records, 1)] == [True] * len(records)
    assert "outcome          resolved by itself" in told
    assert "restart_service on checkout-" in told
    assert "verified" in told
    for stage in (shown for name, shown in STAGES.items() if name != "aftercare"):
        assert f"{stage} done in" in told


@pytest.mark.acceptance
@pytest.mark.timeout(120)
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopping_the_demo_leaves_nothing(
    environment: dict[str, str], demos: list[Demo], place: Path, sig: signal.Signals
) -> None:
    demo = Demo(environment)
    demos.append(demo)
    demo.read_until("Holdfast done")
    family = demo.family()
    assert len(family) > 14
    demo.process.send_signal(sig)
    code, err = demo.finish()
    if sig != signal.SIGKILL:
        assert code == 130
        assert err.startswith("stopped by you; the platform and Holdfast have ended")
        assert left_of(family) == []
    wait_until_gone(family)
    assert list(place.iterdir()) == []


def wait_until_gone(family: dict[int, str | None]) -> None:
    """After SIGKILL the keeper cleans up by itself: its end is what is waited for."""
    for pid in family:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([fd], [], [], 30)[0], f"process {pid} still runs"
        finally:
            os.close(fd)
