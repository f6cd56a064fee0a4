"""`serve` notices a changed flag, and every process of the installation knows of it."""

from pathlib import Path

from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused, target

CHANGES = "changes: {{files: [{{path: {path}, service: {service}, kind: flag}}], every_s: 0.2}}\n"
FLAG = '{{"flags": {{"slim": {{"state": "ENABLED", "defaultVariant": "{variant}"}}}}}}'


def test_a_flag_turned_while_serve_runs_is_told_and_known_to_a_check_elsewhere(
    holdfast: Holdfast, here: Installed
) -> None:
    path = here.write("flags.json", FLAG.format(variant="off"))
    with target() as told:
        here.describe(told.url, more=CHANGES.format(path="flags.json", service="my-api"))
        before = holdfast("check", "run", "recent_changes", "--json").document["recent_changes"]
        with here.serving() as serving:
            serving.event("listening")
            path.write_text(FLAG.format(variant="on"), encoding="utf-8")
            change = serving.event("change", kind="flag")
            found = holdfast("check", "run", "recent_changes", "--json")
            assert serving.stop() == 0
        # A target that was slow once on a busy machine may be told there; the change is no trouble.
        assert "flags.json" not in serving.err

    result = found.document["recent_changes"]
    assert before["suspect"] is None
    assert change["summary"] == "flags.json: flag slim: defaultVariant off -> on"
    assert found.code == 1
    assert result["status"] == "degraded"
    assert result["suspect"]["id"] == change["id"]
    assert result["suspect"]["summary"] == change["summary"]


def test_a_watched_file_of_no_service_is_an_error_with_its_line(
    holdfast: Holdfast, here: Installed, tmp_path: Path
) -> None:
    here.describe(more=CHANGES.format(path=tmp_path / "x", service="my-appi"))

    refused(holdfast("check", "list"), 2, "changes.files.0.service", "did you mean 'my-api'?")
