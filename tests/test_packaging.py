"""What leaves this repository is whole and carries no address: the locks and the wheel."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<marker>[^\\]*)\\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(lock: Path) -> set[str]:
    """Return each pinned requirement with its marker, as it stands in the lock."""
    matches = [PINNED.match(line) for line in lock.read_text(encoding="utf-8").splitlines()]
    return {f"{m['name']}=={m['version']}" for m in matches if m}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_versions_and_digests_and_nothing_else(lock: Path) -> None:
    header, *lines = lock.read_text(encoding="utf-8").splitlines()
    other = [line for line in lines if not PINNED.match(line) and not HASH.match(line)]

    assert header == "# Made by make lock."
    assert pins(lock)
    assert not other


def test_what_the_demo_installs_is_a_part_of_what_developers_install() -> None:
    assert pins(ROOT / "requirements" / "demo.lock") <= pins(ROOT / "requirements" / "dev.lock")


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "holdfast").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert package <= names
    assert {name for name in names if name.startswith("holdfast/")} <= package
