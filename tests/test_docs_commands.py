"""Runs what the documentation tells people to type."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"(<!-- not run by tests: [^\n]+ -->\n)?```console\n(.*?)```", re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Give the commands of a page in order, without those that say why they are not run."""
    for excuse, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if not excuse:
            yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def with_commands() -> list[Path]:
    return [page for page in PAGES if any(commands(page))]


@pytest.mark.parametrize("page", with_commands(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_of_a_page_works_in_the_order_of_the_page(page: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    for command in commands(page):
        # A page is written for a shell; what it says is ours, never somebody's input.
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


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
