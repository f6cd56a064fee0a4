"""Remakes the generated parts of docs/, or with --check says which of them are out of date.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. What is
drawn from the code can't disagree with it; `tests/test_docs.py` runs the check.
"""

import argparse
import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typer

from holdfast.cli.main import APP
from holdfast.incident.lifecycle import phase_diagram, step_diagram

DOCS = Path(__file__).parents[1] / "docs"
TESTS = Path(__file__).parents[1] / "tests"
_PROMISE = "promise-"
_PART = re.compile(
    r"(?P<open><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<close><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def _mermaid(diagram: str) -> str:
    return f"```mermaid\n{diagram}\n```\n"


def _commands() -> str:
    root = typer.main.get_command(APP)
    return "\n".join(_group(root, typer.Context(root, info_name="holdfast")))


def _group(group: Any, context: typer.Context) -> Iterator[str]:  # noqa: ANN401 - typer's own type is private
    for name, command in group.commands.items():
        inner = typer.Context(command, info_name=name, parent=context)
        inner.terminal_width = inner.max_content_width = 100
        if hasattr(command, "commands"):
            yield from _group(command, inner)
        else:
            yield f"## {inner.command_path}\n\n```text\n{command.get_help(inner)}\n```\n"


@cache
def proofs() -> dict[str, list[str]]:
    """Find the tests marked `@pytest.mark.promise("L1", ...)`: promise -> `path::test`, sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for promise in _promises(node):
                    name = f"{path.relative_to(TESTS.parent)}::{node.name}"
                    found.setdefault(promise, []).append(name)
    return found


def _promises(node: ast.FunctionDef) -> Iterator[str]:
    for mark in node.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
            yield from (ast.literal_eval(argument) for argument in mark.args)


def _proofs_of(promise: str) -> str:
    """List a promise's tests. Raises ValueError when it has none."""
    names = proofs().get(promise)
    if not names:
        raise ValueError(
            f"promise {promise} has no test; mark one with @pytest.mark.promise({promise!r})"
        )
    return "".join(f"- `{name}`\n" for name in names)


def _unsafe_situations() -> str:
    """Meet every unsafe situation and tell what was said. The tests know how each is built."""
    if str(TESTS.parent) not in sys.path:
        sys.path.insert(0, str(TESTS.parent))
    return str(importlib.import_module("tests.unsafe.table").table())


PARTS: Mapping[str, Callable[[], str]] = {
    "phases": lambda: _mermaid(phase_diagram()),
    "steps": lambda: _mermaid(step_diagram()),
    "commands": _commands,
    "unsafe-situations": _unsafe_situations,
}


def remake(text: str) -> str:
    """Return a page with each generated part made anew. Raises KeyError for an unknown one."""
    return _PART.sub(lambda found: found["open"] + _part(found["name"]) + found["close"], text)


def _part(name: str) -> str:
    if name.startswith(_PROMISE):
        return _proofs_of(name.removeprefix(_PROMISE))
    return PARTS[name]()


def pages() -> dict[Path, str]:
    """Give every page that has a generated part, with its text."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
    return {page: text for page, text in texts.items() if _PART.search(text)}


def outdated() -> dict[Path, str]:
    """Give the pages that differ from what the code says, with what they should be."""
    remade = {page: (text, remake(text)) for page, text in pages().items()}
    return {page: after for page, (before, after) in remade.items() if before != after}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    check = parser.parse_args(arguments).check
    changed = outdated()
    for page, text in changed.items():
        name = page.relative_to(DOCS.parent)
        if check:
            print(f"{name} is not what the code says; run `make docs`", file=sys.stderr)
        else:
            page.write_text(text, encoding="utf-8")
            print(f"{name} remade")
    if not changed:
        print(f"{len(pages())} pages with generated parts are up to date")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
