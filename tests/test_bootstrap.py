"""Set-up leaves programs that start quickly, also where Python is told to write no bytecode."""

import sys
from importlib.util import cache_from_source, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, place in (("ROOT", tmp_path), ("VENV", tmp_path / ".venv")):
        monkeypatch.setattr(module, name, place)
    monkeypatch.setattr(module, "VENV_PYTHON", Path(sys.executable))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "src").mkdir()
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    return module


def test_packages_and_source_are_compiled_though_python_writes_no_bytecode(
    bootstrap: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "src" / "ours.py", tmp_path / ".venv" / "lib" / "theirs.py"]
    for file in files:
        file.write_text("ANSWER = 42\n", encoding="utf-8")

    bootstrap.compile_all()

    assert all(Path(cache_from_source(str(file))).exists() for file in files)
    assert capsys.readouterr().err == ""


def test_a_file_that_can_not_be_compiled_does_not_fail_the_set_up(
    bootstrap: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".venv" / "lib" / "template.py").write_text("def {{ name }}\n", encoding="utf-8")

    bootstrap.compile_all()

    assert "programs start slower" in capsys.readouterr().err
