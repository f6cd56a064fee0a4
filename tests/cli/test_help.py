"""What somebody meets first: help, wrong words, and how they are said."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from holdfast import __version__
from holdfast.cli.main import APP
from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused

HEAVY = {
    "apsw", "cel", "click", "cryptography", "fastapi", "httpx2", "markdown_it", "numpy", "prometheus_client",
    "psycopg", "pydantic", "rich", "starlette", "uvicorn", "yaml",
}  # fmt: skip
ONLY_A_WORKER = {
    "cel", "fastapi", "httpx2", "markdown_it", "numpy", "prometheus_client", "prompt_toolkit", "rich", "uvicorn",
}  # fmt: skip
PROMISED = {
    "init", "doctor", "serve", "worker", "demo", "gameday", "detect", "incident", "direct", "did", "approve", "deny",
    "settle", "hold", "resume", "note", "freeze", "thaw", "mode", "override", "check", "runbook", "kv", "token",
    "postmortem", "audit", "heads", "ledger", "maintenance", "report", "undo", "skip", "propose", "charter", "handoff",
    "accept", "refuse", "recall",
}  # fmt: skip
ROOT: Any = typer.main.get_command(APP)


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - the type is private to typer
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands(ROOT))


def test_every_promised_command_is_there() -> None:
    assert {path[0] for path in ALL} == PROMISED


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_a_help_text_with_an_example_that_can_be_copied(
    path: tuple[str, ...], holdfast: Holdfast
) -> None:
    said = holdfast(*path, "--help")

    assert said.code == 0
    assert "For example:\n" in said.out
    example = said.out.partition("For example:\n")[2].lstrip()
    assert example.startswith(f"holdfast {' '.join(path)}")
    assert "..." not in ALL[path].get_short_help_str(57), "the first sentence is cut in the list"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_argument_and_option_of_every_command_is_explained(path: tuple[str, ...]) -> None:
    unexplained = [p.name for p in ALL[path].params if not getattr(p, "help", None)]

    assert not unexplained


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_speaks_json(path: tuple[str, ...]) -> None:
    assert "--json" in {opt for p in ALL[path].params for opt in p.opts}


def test_asking_for_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom holdfast.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "incident" in done.stdout
    assert not HEAVY & set(done.stderr.split())


def test_reading_an_incident_imports_nothing_that_only_a_worker_needs(
    tmp_path: Path, holdfast: Holdfast
) -> None:
    directory = tmp_path / "installation"
    assert holdfast("init", directory).code == 0
    program = (
        "import sys\nfrom holdfast.cli import main\n"
        "for words in ('list',), ('show', 'INC-1'), ('export', 'INC-1'), ('verify', 'INC-1'):\n"
        "    try: main(['incident', *words, '--dir', sys.argv[1]])\n"
        "    except SystemExit as ended: print(ended.code)\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, directory], capture_output=True, text=True, check=True
    )
    *said, modules = done.stdout.splitlines()

    assert "0" in said, "the list was read"
    assert done.stderr.count("INC-1") == 3, "the others looked it up"
    assert "holdfast.app.desk" in modules
    assert not ONLY_A_WORKER & set(modules.split())


@pytest.mark.parametrize("words", [(), ("incident",), ("token",)], ids=str)
def test_a_group_without_a_command_shows_its_help(
    words: tuple[str, ...], holdfast: Holdfast
) -> None:
    said = holdfast(*words)

    assert said.code == 0
    assert said.out.startswith("Usage: holdfast")
    assert said.err == ""


def test_the_version_is_told(holdfast: Holdfast) -> None:
    assert holdfast("--version").out == f"holdfast {__version__}\n"


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("incidnt",), "No such command"),
        (("incident", "shwo"), "No such command"),
        (("incident", "show"), "Missing argument 'INCIDENT'"),
        (("incident", "list", "--jsn"), "No such option"),
        (("incident", "dismiss", "INC-1"), "--because"),
        (("gameday", "--runs", "many"), "--runs"),
        (("gameday", "--runs", "0"), "--runs"),
    ],
    ids=str,
)
def test_a_command_line_that_makes_no_sense_is_one_line_and_exit_2(
    words: tuple[str, ...], fact: str, holdfast: Holdfast
) -> None:
    line = refused(holdfast(*words), 2, fact, "--help` for an example")

    assert "Usage" not in line


def test_an_error_with_json_is_a_document_on_stdout_and_a_line_on_stderr(
    here: Installed, holdfast: Holdfast
) -> None:
    said = holdfast("incident", "show", "INC-7", "--json")

    refused(said, 1, "INC-7")
    found = json.loads(said.out)
    assert found["ok"] is False
    assert found["exit_code"] == 1
    assert found["error"] in said.err
    assert holdfast("label", "--json").code == 2


def test_an_error_of_ours_is_told_as_ours_and_without_a_traceback(
    here: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.app.desk.Desk.summaries", lambda _self: 1 / 0)

    refused(
        holdfast("incident", "list"), 1, "did not expect", "ZeroDivisionError", "HOLDFAST_DEBUG"
    )


def test_a_reader_that_goes_away_is_no_error(here: Installed) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m holdfast runbook show high-latency | head -c 1"],
        capture_output=True, text=True, check=False, env=here.environment(),
    )  # fmt: skip

    assert done.stderr == ""


def test_an_answer_that_the_disk_has_no_room_for_is_said(here: Installed) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m holdfast runbook list > /dev/full"],
        capture_output=True, text=True, check=False, env=here.environment(),
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith("holdfast: No space left on device")
    assert "Traceback" not in done.stderr
