"""The intake's settings are strict, like all the others."""

from pathlib import Path

import pytest

from holdfast.app.installation import load_installation
from holdfast.kernel.errors import BadInputError
from tests.surface import SERVICES, Installed


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    (tmp_path / "runbooks").mkdir()
    return Installed(directory=tmp_path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("services: {x: nobodys}", "intake.alertmanager.services.x refers to 'nobodys'"),
        ("types: {X: Not A Type}", "intake.alertmanager.types.X"),
        ("service_labels: []", "intake.alertmanager.service_labels"),
        ("stale_after_s: 1", "intake.alertmanager.stale_after_s"),
        ("silences: []", "silences"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(more: str, words: str, site: Installed) -> None:
    site.describe(more=f"intake: {{alertmanager: {{{more}}}}}")

    with pytest.raises(BadInputError, match=words):
        load_installation(site.directory)


def test_a_label_s_value_may_mean_a_service_of_the_catalogue(site: Installed) -> None:
    site.describe(more="intake: {alertmanager: {services: {my-api-prod: my-api}}}")

    rules = load_installation(site.directory).config.intake.alertmanager
    assert rules.services == {"my-api-prod": "my-api"}


def test_no_metric_takes_the_name_of_alerts(site: Installed) -> None:
    site.describe()
    text = SERVICES.format(url="http://127.0.0.1:1/metrics")
    site.write("services.yaml", text.replace("{saturation: ", "{alert: "))

    with pytest.raises(BadInputError, match="is the name of alerts; choose another name"):
        load_installation(site.directory)
