"""The files the platform gives Holdfast: complete, true to its names, and free of another's."""

import re
from pathlib import Path

import pytest
import yaml

from holdfast.sandbox.blueprint import Blueprint, default_blueprint
from holdfast.sandbox.catalogue import Settings, services_yaml, write_installation
from holdfast.sandbox.site import STORES, Site, process_name


def site_of(seed: int, root: Path) -> Site:
    shape = Blueprint.vary(seed)
    names = [process_name(s, r) for s in shape.supervised for r in shape.regions]
    ports = {name: 20_000 + n for n, name in enumerate([*names, STORES])}
    return Site(blueprint=shape, root=root, run=root / "run", ports=ports)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_of_the_default_platform_is_left_in_a_varied_installation(
    seed: int, tmp_path: Path
) -> None:
    installation = write_installation(site_of(seed, Path("/p")), tmp_path)
    text = "\n".join(file.read_text() for file in installation.directory.rglob("*.*"))
    for name in default_blueprint().names():
        assert name not in text


def test_the_stores_are_upstream_of_the_api_and_the_api_of_the_workers(tmp_path: Path) -> None:
    services = {s["name"]: s for s in services_yaml(site_of(0, tmp_path))["services"]}
    assert services["checkout-api"]["depends_on"] == ["orders-db", "session-cache"]
    assert "checkout-api" in services["checkout-worker"]["depends_on"]
    assert "control" not in services["orders-db"]


def test_the_settings_name_no_file_of_the_observers_and_no_role_that_writes(
    tmp_path: Path,
) -> None:
    site = site_of(0, Path("/p"))
    installation = write_installation(site, tmp_path, Settings(webhook="http://127.0.0.1:1/page"))
    settings = yaml.safe_load(installation.settings.read_text())
    assert settings["notify"]["webhook"] == "http://127.0.0.1:1/page"
    text = installation.settings.read_text() + installation.catalogue.read_text()
    assert str(site.observed) not in text
    assert "shop_owner" not in text


def test_every_placeholder_of_the_runbooks_is_filled_and_each_has_one_step(tmp_path: Path) -> None:
    installation = write_installation(site_of(0, tmp_path), tmp_path / "dir")
    files = sorted(installation.runbooks.glob("*.md"))
    assert [f.stem for f in files] == ["restart-a-down-service", "rollback-after-bad-deploy"]
    for file in files:
        text = file.read_text()
        assert "{{" not in text
        assert yaml.safe_load(text.split("---")[1])["name"] == file.stem
        steps = re.findall(r"^```yaml step\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        assert len(steps) == 1
        assert {"action", "target", "expect", "when", "impact"} <= yaml.safe_load(steps[0]).keys()
