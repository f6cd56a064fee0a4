"""check, detect, runbook, kv and freeze: what needs no incident and no running `serve`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused


def test_checks_are_listed_and_run(here: Installed, holdfast: Holdfast) -> None:
    here.describe(more="checks: {disk: {paths: [/]}}")

    assert holdfast("check", "list").out == "disk_usage\n"
    assert holdfast("check", "list", "--json").document == {"checks": ["disk_usage"]}
    said = holdfast("check", "run", "--json")
    assert set(said.document) == {"disk_usage"}
    assert said.code == (0 if said.document["disk_usage"]["status"] == "healthy" else 1)
    table = holdfast("check", "run", "disk_usage").out.splitlines()
    assert table[0].split() == ["CHECK", "STATUS", "TOOK", "SUMMARY"]


def test_a_check_that_is_not_healthy_is_exit_1_and_one_that_is_unknown_is_named(
    here: Installed, holdfast: Holdfast
) -> None:
    here.describe(more="checks: {disk: {paths: [/nowhere/at/all]}}")

    said = holdfast("check", "run", "disk_usage")
    assert said.code == 1
    assert "/nowhere/at/all" in said.out
    refused(holdfast("check", "run", "disk_usge"), 1, "disk_usge", "disk_usage")


def test_no_check_at_all_says_where_to_configure_one(here: Installed, holdfast: Holdfast) -> None:
    here.describe()

    assert "see `checks` in holdfast.yaml" in holdfast("check", "list").out
    assert holdfast("check", "run").code == 0


def csv(path: Path, values: list[float]) -> Path:
    rows = [f"{1_700_000_000 + 60 * n},{value}" for n, value in enumerate(values)]
    path.write_text("\n".join(["timestamp,value", *rows]) + "\n")
    return path


def test_series_in_files_are_judged_row_by_row(holdfast: Holdfast, tmp_path: Path) -> None:
    series = csv(tmp_path / "cpu.csv", [10 + n % 3 for n in range(60)] + [90.0])
    rows = [json.loads(row) for row in holdfast("detect", series, "--json").out.splitlines()]

    assert len(rows) == 61
    assert [row["anomaly"] for row in rows].count(True) == 1
    assert rows[-1]["severity"] == "critical"
    assert list(rows[0])[:3] == ["file", "timestamp", "value"]
    said = holdfast("detect", series, series)
    assert said.out.count("file,timestamp") == 1
    assert len(said.out.splitlines()) == 1 + 2 * 61


def test_scores_go_into_a_folder(holdfast: Holdfast, tmp_path: Path) -> None:
    series = csv(tmp_path / "cpu.csv", [1.0, 2.0])
    said = holdfast("detect", series, "--out", tmp_path / "scores")

    assert said.code == 0
    assert said.out == ""
    assert "0 anomalies; wrote" in said.err
    assert (tmp_path / "scores" / "cpu.csv").read_text().count("\n") == 3


def test_a_bad_file_among_good_ones_leaves_nothing_half_done(
    holdfast: Holdfast, tmp_path: Path
) -> None:
    good, bad = csv(tmp_path / "good.csv", [1.0]), tmp_path / "bad.csv"
    bad.write_text("timestamp,value\n1700000000,much\n")

    said = holdfast("detect", good, bad, "--out", tmp_path / "scores")

    refused(said, 2, "bad.csv", "much")
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("content", [b"\x00\xff\xfe" * 99, b"", b"a,b\n1,2\n", b'"' * 500])
def test_what_is_no_series_is_refused(content: bytes, holdfast: Holdfast, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)

    refused(holdfast("detect", path), 2, "odd.csv")


def test_two_inputs_of_one_name_do_not_overwrite_each_other(
    holdfast: Holdfast, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        csv(tmp_path / folder / "cpu.csv", [1.0])

    said = holdfast(
        "detect", tmp_path / "a" / "cpu.csv", tmp_path / "b" / "cpu.csv", "--out", tmp_path / "o"
    )

    refused(said, 2, "cpu.csv", "--out")
    assert not (tmp_path / "o").exists()


def test_what_detect_does_not_know_is_refused(holdfast: Holdfast, tmp_path: Path) -> None:
    series = csv(tmp_path / "cpu.csv", [1.0])

    refused(holdfast("detect", series, "--detector", "magic"), 2, "'magic'", "zscore")
    refused(holdfast("detect", tmp_path / "nothere.csv"), 2, "nothere.csv")
    refused(holdfast("detect", series, "--out", series), 2, "--out")


def test_runbooks_are_listed_and_shown(here: Installed, holdfast: Holdfast) -> None:
    listed = holdfast("runbook", "list").out.splitlines()
    assert listed[0].split() == ["NAME", "MATCHES", "STEPS", "MODE", "OWNER", "VERSION", "TITLE"]
    assert any("restart-a-down-service" in row and "service_down" in row for row in listed)
    assert holdfast("runbook", "show", "high-latency").out.startswith("---\n")
    shown = holdfast("runbook", "show", "restart-a-down-service", "--json").document
    assert shown["steps"][0]["action"] == "restart_service"
    refused(holdfast("runbook", "show", "high-latncy"), 1, "high-latncy", "high-latency")


def test_a_runbook_without_steps_is_listed_and_shown(here: Installed, holdfast: Holdfast) -> None:
    text = "---\nname: words\nmatch: {incident_type: service_down}\n---\n\n## Mitigation\n\nCall.\n"
    here.write("runbooks/words.md", text)

    row = next(row for row in holdfast("runbook", "list").out.splitlines() if "words" in row)
    assert row.split()[:3] == ["words", "service_down", "0"]
    assert holdfast("runbook", "show", "words").out == text + "\n"
    assert holdfast("runbook", "lint").code == 0


def test_lint_names_path_and_line_and_exits_1_on_an_error(
    here: Installed, holdfast: Holdfast
) -> None:
    assert (
        holdfast("runbook", "lint").out == "no finding: every runbook can be performed and judged\n"
    )
    path = here.directory / "runbooks" / "restart-a-down-service.md"
    path.write_text(path.read_text().replace("restart_service", "restart_servce"))

    said = holdfast("runbook", "lint")

    assert said.code == 1
    assert f"{path}:" in said.out
    assert "did you mean 'restart_service'?" in said.out
    assert holdfast("runbook", "lint", "--json").document["errors"] == 1
    refused(holdfast("serve"), 2, f"{path}:", "restart_servce", "nothing was started")
    folder = here.directory / "runbooks"
    assert holdfast("runbook", "lint", "--runbooks", folder).code == 1
    refused(holdfast("runbook", "lint", "--runbooks", path / "x"), 2, "is no directory")


@pytest.mark.parametrize("key", ["foo", "incident:INC-1", "incident:INC-1:color", "a:b:c", ""])
def test_a_key_of_another_form_is_refused(key: str, here: Installed, holdfast: Holdfast) -> None:
    refused(holdfast("kv", "get", key), 2, "incident:ID:NAME", "checkpoint")


def test_what_is_unknown_is_not_found(here: Installed, holdfast: Holdfast) -> None:
    for words in (
        ("incident", "show", "INC-9"), ("incident", "timeline", "INC-9"), ("postmortem", "INC-9"),
        ("incident", "export", "INC-9"), ("incident", "verify", "INC-9"), ("incident", "steps", "x"),
        ("kv", "get", "incident:INC-9:status"), ("kv", "get", "incident:INC-9:timeline"),
        ("note", "INC-9", "hm"), ("incident", "ack", "INC-9"), ("incident", "show", "_system"),
    ):  # fmt: skip
        refused(holdfast(*words), 1, "is not known")


def test_freezes_are_recorded_and_ended_without_a_running_serve(
    here: Installed, holdfast: Holdfast
) -> None:
    here.describe()
    for scope in ("all", "service:my-api", "region:eu"):
        assert holdfast("freeze", "--scope", scope, "--because", "storage").code == 0
    refused(holdfast("thaw", "--scope", "region:us", "--because", "x"), 1, "service:my-api")
    assert holdfast("thaw", "--scope", "region:eu", "--because", "x").out.startswith("region:eu: ")
    assert holdfast("thaw", "--because", "x", "--json").document["ok"] is True
    refused(holdfast("thaw", "--because", "x"), 1, "frozen scopes: service:my-api")
    assert holdfast("incident", "verify", "_system").code == 0


@pytest.mark.parametrize("scope", ["everything", "service:my-ap", "region:mars", "service:", ""])
def test_a_freeze_that_would_stop_nothing_is_refused(
    scope: str, here: Installed, holdfast: Holdfast
) -> None:
    here.describe()

    refused(holdfast("freeze", "--scope", scope, "--because", "x"), 2, "scope")


def test_everything_can_be_frozen_though_the_files_are_broken(
    here: Installed, holdfast: Holdfast
) -> None:
    here.write("holdfast.yaml", "mode: [")

    assert holdfast("freeze", "--because", "nobody knows what is in there").code == 0


def test_files_that_cannot_be_written_are_named(here: Installed, holdfast: Holdfast) -> None:
    refused(holdfast("incident", "export", "_system", "--out", here.directory), 2, "can't write")
    out = here.directory / "deep" / "er" / "system.jsonl"
    assert holdfast("incident", "export", "_system", "--out", out).code == 0
    assert out.read_text().count("\n") == 1
    assert [path.name for path in out.parent.iterdir()] == ["system.jsonl"]
