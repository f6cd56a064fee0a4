"""Each known fault still fits the source, and says what is to catch it. `make mutants` tries them."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

from tests.crash.matrix import Invariant, faults

ROOT = Path(__file__).parents[2]


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "scripts" / "mutants.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_each_mutant_fits_the_source_and_names_what_catches_it(tmp_path: Path) -> None:
    found = program()
    every = found.known()

    assert len(every) == len({mutant.name for mutant in every}) >= 12
    for mutant in every:
        source = tmp_path / mutant.name
        for edit in mutant.edits:
            to = source / "holdfast" / edit["file"]
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists():
                shutil.copy(ROOT / "src" / "holdfast" / edit["file"], to)
        assert found.changed(source, mutant) is None
        assert mutant.caught_by <= {invariant.value for invariant in Invariant}
        assert all(store in faults()[fault].stores for fault, store, _ in mutant.run)


def test_a_mutant_that_the_source_has_moved_away_from_is_named(tmp_path: Path) -> None:
    found = program()
    file = tmp_path / "holdfast" / "a.py"
    file.parent.mkdir()
    file.write_text("one\n")
    edit = {"file": "a.py", "find": "two\n", "replace": ""}
    mutant = found.Mutant(name="m", why="-", edits=[edit], run=[], caught_by=frozenset())

    assert found.changed(tmp_path, mutant) == (
        "mutant out of date: a.py has 0 times 'two', not once"
    )
