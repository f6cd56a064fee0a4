from pathlib import Path

from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused


def test_doctor_shows_what_it_found_and_says_what_to_do(
    here: Installed, holdfast: Holdfast
) -> None:
    said = holdfast("doctor")

    assert said.code == 0
    assert "\nledger\n" in said.out
    assert "warning  services" in said.out
    assert "-> describe your services in services.yaml" in said.out
    assert said.out.splitlines()[-1].startswith("fit for work: ")
    assert said.err == ""


def test_doctor_exits_1_over_what_is_broken_or_unsafe_and_2_over_what_it_can_not_read(
    here: Installed, holdfast: Holdfast, tmp_path: Path
) -> None:
    (here.directory / "audit.key").chmod(0o644)
    said = holdfast("doctor", "--json")

    assert said.code == 1
    document = said.document
    assert document["ok"] is False
    assert document["counts"]["unsafe"] == 1
    (unsafe,) = [each for each in document["findings"] if each["level"] == "unsafe"]
    assert unsafe == {
        "area": "files",
        "what": "audit.key",
        "level": "unsafe",
        "value": "rights 644: others can read or change it",
        "next_step": "run `chmod 600` on it, and replace the secret if somebody may have seen it",
    }
    refused(holdfast("doctor", "--dir", tmp_path / "none"), 2, "can't read", "holdfast init")
