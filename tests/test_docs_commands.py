"""Runs what the documentation tells people to type."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
# ```console with commands, or a file's text below a mark that names the file.
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run by tests|written by the tests): (?P<said>[^\n]+) -->\n)?"
    r"(?P<fence>`{3,})(?P<kind>\w+)[^\n]*\n(?P<text>.*?)(?P=fence)",
    re.DOTALL,
)
# The pages name these ports; the tests may run twice on one machine.
PORTS = ("8321", "9464")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a reader does next: types a command, or writes a file."""

    text: str
    file: str | None = None


def acts(page: Path) -> Iterator[Act]:
    """Give what a page tells to do, in order, without what says why it is not run."""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["mark"] == "written by the tests":
            yield Act(text=block["text"], file=block["said"])
        elif block["kind"] == "console" and not block["mark"]:
            lines = block["text"].splitlines()
            yield from (Act(text=line[2:]) for line in lines if line.startswith("$ "))


def with_commands() -> list[Path]:
    return [page for page in PAGES if any(act.file is None for act in acts(page))]


def free_ports() -> dict[str, str]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in PORTS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {port: str(p.getsockname()[1]) for port, p in zip(PORTS, probes, strict=True)}


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Type a command as in one terminal: what is exported stays, what runs on is ended after."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    exported = tmp_path / ".exported"
    exported.touch()
    groups = []

    def run(command: str) -> None:
        # A page is written for a shell; what it says is ours, never somebody's input.
        words = f". {exported}\n{command}\nexport -p > {exported}"
        with (tmp_path / ".said").open("w+") as said:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", words],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            groups.append(process.pid)
            code = process.wait(timeout=50)
            said.seek(0)
            assert code == 0, f"{command}\n{said.read()}"

    yield run
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@pytest.mark.parametrize("page", with_commands(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_of_a_page_works_in_the_order_of_the_page(
    page: Path, tmp_path: Path, typed: Callable[[str], None]
) -> None:
    ports = free_ports()
    for act in acts(page):
        text = re.sub("|".join(PORTS), lambda found: ports[found[0]], act.text)
        if act.file is None:
            typed(text)
        else:
            (tmp_path / act.file).write_text(text, encoding="utf-8")


def test_the_readme_and_the_tutorial_have_commands_that_are_run() -> None:
    pages = {str(page.relative_to(ROOT)) for page in with_commands()}
    assert {"README.md", "docs/tutorial.md"} <= pages


def test_the_readme_shows_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "```sh\nmake demo\nmake test\n```" in text
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_no_page_links_to_a_file_that_is_not_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not missing
