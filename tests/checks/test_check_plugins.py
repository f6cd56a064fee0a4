"""Checks of one's own, installed as Python installs them: a distribution with entry points."""

import os
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.checks import build_checks
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Health
from tests.io_parts import NOW, catalogue, context
from tests.surface import Installed, installed

EXAMPLE = Path(__file__).parents[2] / "examples" / "holdfast-example-plugin"
Install = Callable[[dict[str, str]], Path]


def example_points() -> dict[str, str]:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["holdfast.checks"]
    return {str(name): str(value) for name, value in points.items()}


def install(folder: Path, points: dict[str, str]) -> Path:
    """Write what an installer writes: the distribution's metadata with its entry points."""
    made = folder / "holdfast_example_plugin-0.1.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: holdfast-example-plugin\nVersion: 0.1.0\n"
    )
    lines = [f"{name} = {value}" for name, value in points.items()]
    (made / "entry_points.txt").write_text("\n".join(["[holdfast.checks]", *lines, ""]))
    return folder


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    def put(points: dict[str, str]) -> Path:
        folder = install(tmp_path / "site", points)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
        return folder

    return put


def configure(site: Installed, backups: Path, hours_max: object = 26) -> None:
    plugins = f"plugins: {{backup_age: {{directory: {backups}, hours_max: {hours_max}}}}}"
    site.describe(more=f"checks:\n  {plugins}\n")


def test_the_example_runs_as_a_user_runs_it(tmp_path: Path, backups: Path) -> None:
    site = installed(tmp_path / "holdfast")
    configure(site, backups)
    (backups / "monday.dump").write_text("x")
    path = os.pathsep.join(
        [str(install(tmp_path / "site", example_points())), str(EXAMPLE / "src")]
    )

    ran = site.run("check", "run", "backup_age", "--json", PYTHONPATH=path)
    without = site.run("check", "run", "backup_age")

    assert ran.code == 0, ran.err
    assert ran.document["backup_age"]["status"] == "healthy"
    assert ran.document["backup_age"]["newest"] == "monday.dump"
    assert without.code == 2
    assert "checks.plugins.backup_age is not installed" in without.err


def test_a_check_of_ones_own_finds_what_it_is_for(in_process: Install, backups: Path) -> None:
    in_process(example_points())
    settings = {"plugins": {"backup_age": {"directory": str(backups), "hours_max": 2}}}
    (check,) = build_checks(catalogue(), settings)

    empty = check.run(context())
    (backups / "old").write_text("x")
    three_hours_ago = (NOW - timedelta(hours=3)).timestamp()
    os.utime(backups / "old", (three_hours_ago, three_hours_ago))
    old = check.run(context())

    assert empty.status is Health.DOWN
    assert old.status is Health.DEGRADED
    assert old.summary == "the newest backup, old, is 3.0 hours old (threshold 2)"


def test_what_is_installed_but_not_named_is_never_loaded(in_process: Install) -> None:
    in_process({"backup_age": "no_such_module:at_all"})

    assert build_checks(catalogue(), {"plugins": {}}) == ()


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("no_such_module:thing", "can't be loaded from no_such_module:thing: ModuleNotFoundError"),
        ("holdfast_example.checks:gone", "can't be loaded from .*AttributeError"),
        ("holdfast_example.checks:UTC", "is no factory"),
        ("builtins:dict", "can't be built: TypeError"),
        ("operator:eq", "makes bool, which is no check with `name` 'backup_age' and `run`"),
    ],
)
def test_a_plug_in_that_is_broken_is_an_error_that_names_it(
    point: str, words: str, in_process: Install
) -> None:
    in_process({"backup_age": point})

    with pytest.raises(BadInputError, match=words) as refused:
        build_checks(catalogue(), {"plugins": {"backup_age": {}}})

    assert refused.value.field == "checks.plugins.backup_age"


def test_a_plug_in_may_not_take_the_place_of_a_built_in_check(in_process: Install) -> None:
    in_process({"disk_usage": "holdfast_example.checks:backup_age"})

    with pytest.raises(BadInputError, match="name of a built-in check"):
        build_checks(catalogue(), {"plugins": {"disk_usage": {"directory": "/"}}})


@pytest.mark.parametrize(
    ("settings", "field"), [({}, "directory"), ({"directory": "/", "hours_max": -1}, "hours_max")]
)
def test_a_setting_that_the_plug_in_refuses_is_named_with_its_field(
    settings: dict[str, object], field: str, in_process: Install
) -> None:
    in_process(example_points())

    with pytest.raises(BadInputError) as refused:
        build_checks(catalogue(), {"plugins": {"backup_age": settings}})

    assert refused.value.field == f"checks.plugins.backup_age.{field}"
    assert refused.value.message.startswith("checks.plugins.backup_age has ")
