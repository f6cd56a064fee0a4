"""The command line in this process: as fast as a function call, with its real exit codes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.cli import main
from tests.surface import Installed, Said, installed

Holdfast = Callable[..., Said]


@pytest.fixture
def holdfast(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Holdfast:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(code=ended.value.code, out=said.out, err=said.err)

    return run


@pytest.fixture
def here(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installed:
    """Make an installation and let the commands of this process use it."""
    made = installed(tmp_path / "site")
    monkeypatch.setenv("HOLDFAST_DIR", str(made.directory))
    monkeypatch.setenv("HOLDFAST_TOKEN", made.token or "")
    return made
