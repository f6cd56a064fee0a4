"""Plug-ins are loaded by entry point, when they are named and not because they are installed."""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.actions import build_actions
from holdfast.actions.plugins import GROUP, load_actions
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Effect, Repeatability, TargetUnreachableError
from tests.io_parts import catalogue, request

EXAMPLE = Path(__file__).parents[2] / "examples" / "holdfast-example-plugin"
NOTHING = Catalogue(services={})


def bell(_catalogue: Catalogue, settings: Mapping[str, Any]) -> SimpleNamespace:
    """Make an action out of the settings: a name, and whatever the test wants to be odd."""
    parts: dict[str, Any] = {
        "name": "ring_bell",
        "repeatability": Repeatability.NONE,
        "least_impact": "high",
        **dict.fromkeys(("observe", "perform", "probe", "undo"), bell),
        **settings,
    }
    return SimpleNamespace(**parts)


def broken(_catalogue: Catalogue, settings: Mapping[str, Any]) -> SimpleNamespace:
    raise RuntimeError(f"password={settings['password']}")


def point(name: str = "ring_bell", value: str = f"{__name__}:bell") -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture
def this() -> Iterator[None]:
    """Make this module importable by name, as an installed package is."""
    before = sys.modules.get(__name__)
    sys.modules[__name__] = sys.modules.get(__name__) or SimpleNamespace(bell=bell, broken=broken)  # type: ignore[assignment]
    yield
    if before is None:
        del sys.modules[__name__]


def test_a_plug_in_that_is_named_is_loaded_with_its_settings(this: None) -> None:
    [made] = load_actions(NOTHING, {"ring_bell": {"loud": 3}}, ["http"], [point()])

    assert (made.name, getattr(made, "loud")) == ("ring_bell", 3)  # noqa: B009 - not in the Protocol


def test_one_that_is_only_installed_is_not_even_imported() -> None:
    danger = EntryPoint(name="ring_bell", value="no_such_module_at_all:x", group=GROUP)

    assert load_actions(NOTHING, {}, [], [danger]) == ()


@pytest.mark.parametrize(
    ("wanted", "installed", "why"),
    [
        ({"http": {}}, [point("http")], "has the name of a built-in action"),
        ({"ring_bell": {}}, [], "is not installed"),
        ({"ring_bel": {}}, [point()], r"is not installed .*ring_bell"),
        ({"ring_bell": {}}, [point(), point()], "installed 2 times"),
        ({"ring_bell": {}}, [point(value="no_such_module_at_all:x")], "ModuleNotFoundError"),
        ({"ring_bell": {}}, [point(value=f"{__name__}:nothing")], "AttributeError"),
        ({"ring_bell": {"name": "other"}}, [point()], "its name is 'other'"),
        ({"ring_bell": {"undo": None}}, [point()], "has no method undo"),
        ({"ring_bell": {"repeatability": "none"}}, [point()], "repeatability is 'none'"),
        ({"ring_bell": {"least_impact": "medium"}}, [point()], "not low or high"),
    ],
)
def test_one_that_cannot_be_used_is_a_clear_error(
    this: None, wanted: dict[str, dict[str, Any]], installed: list[EntryPoint], why: str
) -> None:
    with pytest.raises(BadInputError, match=why) as refused:
        load_actions(NOTHING, wanted, ["http"], installed)

    assert refused.value.field == f"actions.plugins.{next(iter(wanted))}"


def test_what_a_broken_one_says_is_told_without_its_secrets(this: None) -> None:
    installed = [point(value=f"{__name__}:broken")]

    with pytest.raises(BadInputError, match="RuntimeError") as refused:
        load_actions(NOTHING, {"ring_bell": {"password": "hunter2"}}, [], installed)

    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("way", ["exits", "raises when asked"])
def test_one_that_ends_or_fails_when_it_is_asked_is_told_and_ends_nobody(
    this: None, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    class Sly:
        name = "ring_bell"
        observe = perform = probe = undo = bell

        @property
        def repeatability(self) -> Repeatability:
            raise OSError("not now")

    def made(_catalogue: Catalogue, _settings: Mapping[str, Any]) -> Sly:
        return sys.exit(3) if way == "exits" else Sly()

    monkeypatch.setattr(sys.modules[__name__], "bell", made)

    with pytest.raises(BadInputError, match=r"failed when .*(SystemExit: 3|OSError: not now)"):
        load_actions(NOTHING, {"ring_bell": {}}, [], [point()])


def test_an_unknown_plug_in_stops_the_building_of_all_actions() -> None:
    with pytest.raises(BadInputError, match="is not installed"):
        build_actions(NOTHING, settings={"plugins": {"no-such-plug-in": {}}})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the example package as an installer does: its metadata, and its source on the path."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    metadata = tmp_path / "site" / "holdfast_example_plugin-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: holdfast-example-plugin\n")
    lines = [f"{name} = {value}" for name, value in points[GROUP].items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))


def test_an_installed_one_stands_beside_the_built_in_ones(installed: None, tmp_path: Path) -> None:
    settings = {"plugins": {"pause_jobs": {"directory": str(tmp_path)}}}
    known = catalogue(Service(name="shop"))

    made = build_actions(known, settings=settings)

    assert set(made) == {*build_actions(known), "pause_jobs"}
    assert made["pause_jobs"].repeatability is Repeatability.PROBEABLE


def test_a_setting_that_makes_no_sense_is_told_with_the_plug_in(installed: None) -> None:
    with pytest.raises(BadInputError, match=r"plugins\.pause_jobs .*has no `directory`"):
        build_actions(NOTHING, settings={"plugins": {"pause_jobs": {}}})


def test_the_example_is_performed_once_proven_and_undone(installed: None, tmp_path: Path) -> None:
    settings = {"plugins": {"pause_jobs": {"directory": str(tmp_path)}}}
    made = build_actions(catalogue(Service(name="shop")), settings=settings)["pause_jobs"]
    asked = request("pause_jobs", "shop", pre_image=made.observe("shop", {}))
    other = request("pause_jobs", "shop", key="INC-2/S1/1")

    before, first, again = made.probe(asked), made.perform(asked), made.perform(asked)

    assert (before.effect, made.probe(asked).effect) == (Effect.ABSENT, Effect.PRESENT)
    assert first.ok
    assert again.summary.startswith("not paused again")
    assert made.perform(other).effect is Effect.ABSENT
    assert made.observe("shop", {})["reachable"] is False
    assert not made.undo(other).ok
    assert made.undo(asked).ok
    assert not (tmp_path / "shop.paused").exists()
    with pytest.raises(TargetUnreachableError, match="nothing was done"):
        made.perform(request("pause_jobs", "nobody"))
