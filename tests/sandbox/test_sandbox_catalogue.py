"""The files the platform gives Holdfast: complete, true to its names, and free of another's."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.sandbox.blueprint import Blueprint, default_blueprint
from holdfast.sandbox.catalogue import (
    RUNBOOKS,
    Settings,
    holdfast_yaml,
    services_yaml,
    write_installation,
)
from holdfast.sandbox.site import STORES, Site, process_name
from holdfast.sandbox.supervisor import extras


def site_of(seed: int, root: Path) -> Site:
    shape = Blueprint.vary(seed)
    regional = [process_name(s, r) for s in shape.regional for r in shape.regions]
    ports = {name: 20_000 + n for n, name in enumerate([*shape.single, *regional, STORES])}
    return Site(blueprint=shape, root=root, run=root / "run", ports=ports)


def services_of(site: Site) -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in services_yaml(site)["services"]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_of_the_default_platform_is_left_in_a_varied_installation(
    seed: int, tmp_path: Path
) -> None:
    installation = write_installation(site_of(seed, Path("/p")), tmp_path)
    text = "\n".join(file.read_text() for file in installation.directory.rglob("*.*"))
    left = [name for name in default_blueprint().names() if name in text]
    assert not left


def test_what_is_asked_is_upstream_and_the_printer_stands_alone(tmp_path: Path) -> None:
    services = services_of(site_of(0, tmp_path))
    assert services["checkout-api"]["depends_on"] == ["orders-pool", "session-cache"]
    assert "checkout-api" in services["checkout-worker"]["depends_on"]
    assert services["orders-pool"]["depends_on"] == ["orders-db"]
    assert "depends_on" not in services["receipt-printer"]
    named = [name for service in services.values() for name in service.get("depends_on", ())]
    assert "receipt-printer" not in named


def test_only_what_can_be_rebuilt_may_be_cleared_and_only_the_printers_drafts(
    tmp_path: Path,
) -> None:
    site = site_of(0, tmp_path)
    services = services_of(site)
    assert services["session-cache"]["control"]["cache"]["prefixes"] == ["price:", "basket-epoch"]
    assert services["receipt-printer"]["control"]["temp"]["paths"] == [str(site.temp)]
    assert [name for name, each in services.items() if "temp" in each.get("control", {})] == [
        "receipt-printer"
    ]


def test_the_workers_to_add_have_the_names_under_which_they_stand_ready(tmp_path: Path) -> None:
    site = site_of(0, tmp_path)
    scale = services_of(site)["checkout-worker"]["control"]["scale"]
    pattern, numbers = scale["supervisord"]["process"], range(1, scale["extra"] + 1)
    meant = {
        pattern.format(region=region, n=n) for region in site.blueprint.regions for n in numbers
    }
    assert meant == {name for name, _, _ in extras(site)}


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


def test_no_runbook_that_waits_for_a_person_is_granted_autonomy(tmp_path: Path) -> None:
    granted = holdfast_yaml(site_of(0, tmp_path), Settings())["autonomy"]
    names = {grant["runbook"] for grant in granted}
    written = write_installation(site_of(0, tmp_path), tmp_path / "dir").runbooks.glob("*.md")
    modes = {f.stem: yaml.safe_load(f.read_text().split("---")[1])["mode"] for f in written}
    assert names == {name for name, mode in modes.items() if mode == "autonomous"}


@pytest.mark.parametrize("file", sorted(RUNBOOKS.glob("*.md")), ids=lambda file: file.stem)
def test_every_placeholder_of_a_runbook_is_filled_and_each_step_says_how_it_is_judged(
    file: Path, tmp_path: Path
) -> None:
    installation = write_installation(site_of(0, tmp_path), tmp_path / "dir")
    text = (installation.runbooks / file.name).read_text()
    assert "{{" not in text
    assert yaml.safe_load(text.split("---")[1])["name"] == file.stem
    steps = re.findall(r"^```yaml step\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert steps
    for step in steps:
        keys = yaml.safe_load(step).keys()
        assert {"action", "target", "expect", "when", "impact", "undo"} <= keys
    for section in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
        assert f"\n## {section}\n" in text
