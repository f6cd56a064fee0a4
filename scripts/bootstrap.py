"""Make `.venv` from a hashed lock, with nothing but Python and a package index.

uv does the work because it does it in seconds; pip installs it, from a hashed lock too, into
`.boot`. Where uv cannot be had, venv and pip do the same slowly. A stamp in `.venv` says what is
there, so that a second run costs a few milliseconds; it is removed first and written last, so that
an interrupted run is never mistaken for a finished one.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
BOOT = ROOT / ".boot"
UV = BOOT / "bin" / "uv"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "holdfast-setup.json"
LOCKS = ROOT / "requirements"
PYTHON = Path(sys.executable)
if PYTHON.is_relative_to(VENV):  # called from inside an activated .venv, which may have to go
    PYTHON = PYTHON.resolve()
GROUPS = ("demo", "dev")  # each one contains those before it
INSTALL_TIMEOUT_S = 900

Result = TypeVar("Result")


class SetupError(Exception):
    """Set-up cannot go on; the text says what failed and what to do."""


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def run(*argv: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command quietly; on failure raise with the end of what it said."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{command[0]} could not be run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-6:])
        raise SetupError(f"exit status {done.returncode} from: {' '.join(command)}\n{tail}")


def digest() -> str:
    """Identify what an installation is made from: the locks and the package's metadata."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tables = {key: pyproject.get(key) for key in ("build-system", "project", "dependency-groups")}
    tables["hatch"] = pyproject.get("tool", {}).get("hatch")
    parts = [lock.read_bytes() for lock in sorted(LOCKS.glob("*.lock"))]
    parts.append(json.dumps(tables, sort_keys=True).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def place() -> str:
    """Name what a .venv cannot survive a change of: the interpreter and its own path."""
    return f"Python {platform.python_version()} {platform.machine()} {ROOT}"


def installed() -> tuple[str | None, str]:
    """Return the group and digest that the stamp names; no group means no finished set-up here."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        group, known, where = stamp["group"], stamp["digest"], stamp["place"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""
    if group not in GROUPS or where != place() or not VENV_PYTHON.exists():
        return None, ""
    return str(group), str(known)


def wanted_group(asked: str, present: str | None) -> str:
    """Never take away what is there: `make demo` after `make setup` keeps the developer tools."""
    return max(asked, present or asked, key=GROUPS.index)


def index_settings() -> dict[str, str]:
    """Tell uv which package index pip is set to use, since uv does not read pip's configuration."""
    if "UV_DEFAULT_INDEX" in os.environ or "UV_INDEX_URL" in os.environ:
        return {}
    address = os.environ.get("PIP_INDEX_URL", "")
    if not address:
        asked = subprocess.run(
            [PYTHON, "-m", "pip", "config", "get", "global.index-url"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        address = asked.stdout.strip() if asked.returncode == 0 else ""
    return {"UV_DEFAULT_INDEX": address} if address else {}


def install_uv() -> bool:
    """Put uv into `.boot`; False when it cannot be had, which is slower but no error."""
    lock = LOCKS / "boot.lock"
    mark = BOOT / "lock.sha256"
    known = hashlib.sha256(lock.read_bytes()).hexdigest()
    if UV.exists() and mark.exists() and mark.read_text(encoding="utf-8") == known:
        return True
    options = (
        "--quiet",
        "--upgrade",
        "--no-deps",
        "--require-hashes",
        "--disable-pip-version-check",
    )
    try:
        run(PYTHON, "-m", "pip", "install", *options, "--target", BOOT, "-r", lock)
    except SetupError as error:
        say(f"uv could not be installed, so venv and pip do the work (slower): {error}")
        return False
    mark.write_text(known, encoding="utf-8")
    return True


def fill_with_uv(lock: Path) -> None:
    env = {"VIRTUAL_ENV": str(VENV), "UV_NO_CONFIG": "1", **index_settings()}
    if not VENV_PYTHON.exists():
        run(UV, "venv", "--quiet", "--clear", "--python", PYTHON, VENV, env=env)
    run(UV, "pip", "sync", "--quiet", "--require-hashes", lock, env=env)
    options = ("--quiet", "--no-deps", "--no-build-isolation")
    run(UV, "pip", "install", *options, "--editable", ROOT, env=env)


def fill_with_pip(lock: Path) -> None:
    if not (VENV / "bin" / "pip").exists():
        run(PYTHON, "-m", "venv", "--clear", VENV)
    pip = (VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", lock)
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def fill(lock: Path, *, with_uv: bool) -> None:
    """Install the lock and the project; where uv fails, pip tries with its own settings."""
    if with_uv:
        try:
            fill_with_uv(lock)
        except SetupError as error:
            say(f"uv did not finish, so venv and pip try: {error}")
        else:
            return
    try:
        fill_with_pip(lock)
    except SetupError as error:
        raise SetupError(
            f"{lock.relative_to(ROOT)} could not be installed into .venv: {error}\n"
            "check that this machine reaches a package index (pip config list),"
            " then run make setup again"
        ) from error


def compile_all() -> None:
    """Make the bytecode now; without it every start of a program would make it anew."""
    try:
        run(VENV_PYTHON, "-m", "compileall", "-q", "-j", "0", VENV / "lib", ROOT / "src")
    except SetupError as error:
        say(f"not everything could be compiled, so programs start slower: {error}")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two makes at once take turns; the second then finds nothing left to do."""
    BOOT.mkdir(exist_ok=True)
    with (BOOT / "lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def timed(name: str, work: Callable[[], Result]) -> Result:
    start = time.perf_counter()
    result = work()
    say(f"{name} {time.perf_counter() - start:.1f} s")
    return result


def set_up(asked: str) -> None:
    present, known = installed()
    group, now = wanted_group(asked, present), digest()
    if (present, known) == (group, now):
        return
    STAMP.unlink(missing_ok=True)
    if present is None and VENV.exists():
        shutil.rmtree(VENV)
    with_uv = timed("the installer (uv)", install_uv)
    lock = LOCKS / f"{group}.lock"
    timed(f"packages ({group})", lambda: fill(lock, with_uv=with_uv))
    if sys.dont_write_bytecode:  # nor will Python, whenever it imports something
        timed("bytecode", compile_all)
    STAMP.write_text(
        json.dumps({"group": group, "digest": now, "place": place()}), encoding="utf-8"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv from a hashed lock.")
    parser.add_argument(
        "--group", choices=GROUPS, default="dev", help="demo: what `make demo` runs"
    )
    arguments = parser.parse_args()
    start = time.perf_counter()
    try:
        with one_at_a_time():
            set_up(arguments.group)
    except SetupError as error:
        say(str(error))
        return 1
    say(f".venv is ready after {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
