"""What `serve` writes, and what it never writes: one line per happening, no secret."""

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.real_parts import end, started_postgres
from tests.surface import WAIT_S, Installed, installed, target

SECRET = "hunter2-and-more"


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    return installed(tmp_path / "site")


def test_plain_text_is_for_people(site: Installed) -> None:
    with target() as told, contextlib.ExitStack() as stack:
        site.describe(told.url)
        told.status = 503
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", "serve"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=site.environment(),
        )  # fmt: skip
        assert process.stdout
        lines = []
        stack.callback(process.kill)
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if " paged " in line:
                process.send_signal(signal.SIGINT)
                break
        rest, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == 0
    assert lines[0].startswith("listening on http://127.0.0.1:")
    assert any(line.startswith("INC-1 #1 opened") for line in lines)
    assert "stopped: what was in hand is finished" in rest
    assert "PAGE" in err
    assert "" not in lines


def test_a_reader_that_goes_away_does_not_stop_serve(site: Installed) -> None:
    with target() as told, contextlib.ExitStack() as stack:
        site.describe(told.url)
        serving = stack.enter_context(site.serving())
        ticks = serving.event("tick")["tick"]
        url = serving.url
        serving.deaf()
        pause = threading.Event()
        while serving.health()[1]["ticks"] <= ticks + 3:
            pause.wait(0.05)
        assert serving.url == url
        assert serving.stop() == 0


def test_a_database_that_dies_mid_check_is_down_with_the_reason_and_its_password_is_nowhere(
    site: Installed,
) -> None:
    with started_postgres() as postgres, target() as told:
        dsn = f"{postgres.named('postgres')} password={SECRET}"
        site.describe(
            told.url, more=f"checks: {{timeout_s: 5, database: {{dsn: '{dsn}', service: my-api}}}}"
        )
        alive = site.run("check", "run", "database_connections")
        assert alive.code == 0, alive
        assert postgres.keeper
        end(postgres.keeper)
        dead = site.run("check", "run", "database_connections", "--json")
        assert dead.code == 1
        assert dead.document["database_connections"]["status"] == "down"
        with site.serving() as serving:
            told.status = 503
            checks = serving.event("record", kind="checks_recorded")
            assert "database_connections down" in checks["text"]
            assert serving.event("record", kind="paged")
            assert serving.health()[0] == 200
            assert serving.stop() == 0
        shown = [site.run(*words) for words in (
            ("incident", "show", "INC-1"), ("incident", "export", "INC-1"), ("postmortem", "INC-1"),
            ("incident", "show", "INC-1", "--json"),
        )]  # fmt: skip

    said = [alive, dead, *shown]
    everything = "".join([str(serving.events), serving.err, *(s.out + s.err for s in said)])
    assert "database_connections" in everything
    assert SECRET not in everything
    for path in site.directory.iterdir():
        if path.is_file() and path.name != "holdfast.yaml":
            assert SECRET.encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize(
    "dsn", ["host=/nowhere password={secret}", "postgresql://me:{secret}@127.0.0.1:1/x"]
)
def test_a_database_that_was_never_there_is_down_and_its_password_is_nowhere(
    dsn: str, site: Installed
) -> None:
    site.describe(
        more=f"checks: {{timeout_s: 5, database: {{dsn: '{dsn.format(secret=SECRET)}'}}}}"
    )
    said = site.run("check", "run", "--json")

    assert said.document["database_connections"]["status"] == "down"
    assert SECRET not in said.out + said.err
