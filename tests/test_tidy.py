"""The style rules that no linter knows. Numbers only ever go down."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "holdfast"
PRODUCT = sorted(SOURCE.rglob("*.py"))
CHECKED = PRODUCT + sorted(
    path for folder in ("tests", "bench", "scripts") for path in (ROOT / folder).rglob("*.py")
)
ROOMS = sorted(
    folder for folder in SOURCE.iterdir() if folder.is_dir() and any(folder.glob("*.py"))
)

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400
BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|\bNotImplemented" + r"Error\b")
IO_ROOMS = {"ledger", "sources", "checks", "actions", "notify", "assistant"}
SHELL_ROOMS = {"engine", "api", "console", "mcp", "app", "sandbox", "cli"}

# Names of the sandbox's services and of its scenarios. Where they are part of a longer name
# (a runbook called restart-after-service-down) they are somebody else's.
SANDBOX_NAMES = re.compile(
    r"(?<![\w-])(checkout-\w+|orders-db|session-cache|bad-deploy|service-down|engine-crash)(?![\w-])"
)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_there_is_something_to_check() -> None:
    assert PRODUCT
    assert ROOMS


@pytest.mark.parametrize("path", CHECKED, ids=named)
def test_a_file_stays_small_finished_and_well_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    long = [f.name for f in functions(ast.parse(text)) if length(f) > FUNCTION_LINES_MAX]

    assert not long, f"over {FUNCTION_LINES_MAX} lines; split them"
    assert text.count("\n") <= FILE_LINES_MAX
    assert not BANNED_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)
    assert not UNFINISHED.findall(text)


@pytest.mark.parametrize("path", CHECKED, ids=named)
def test_no_command_passes_through_a_shell(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    through_shell = [
        node.lineno
        for node in calls
        if called(node) in {"os.system", "os.popen", "asyncio.create_subprocess_shell"}
        or any(
            key.arg == "shell" and not (isinstance(key.value, ast.Constant) and not key.value.value)
            for key in node.keywords
        )
    ]

    assert not through_shell, "hand over a list of arguments instead"


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_a_module_opens_with_its_rule(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert not tree.body or ast.get_docstring(tree), "a docstring of two or three sentences"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_opens_with_its_rule(room: Path) -> None:
    front = room / "__init__.py"

    assert front.exists(), "a room is a package with an __init__.py that states its rule"
    assert ast.get_docstring(ast.parse(front.read_text(encoding="utf-8")))


def test_no_product_room_knows_a_name_of_the_sandbox() -> None:
    texts = [
        path
        for path in SOURCE.rglob("*")
        if path.is_file()
        and path.suffix not in {".pyc", ".so"}
        and not path.is_relative_to(SOURCE / "sandbox")
    ]
    known = [
        f"{named(path)}: {match.group()}"
        for path in texts
        for match in SANDBOX_NAMES.finditer(path.read_text(encoding="utf-8"))
    ]

    assert not known


def test_every_pure_room_stands_under_the_contract_that_forbids_io() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["id"] == "pure")
    expected = {room.name for room in ROOMS} - IO_ROOMS - SHELL_ROOMS - {"kernel"}

    assert {name.removeprefix("holdfast.") for name in pure["source_modules"]} == expected
