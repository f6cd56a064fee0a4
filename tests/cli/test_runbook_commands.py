"""`runbook lint` and `runbook test` as commands: their exit codes, their text, their JSON."""

from tests.cli.conftest import Holdfast
from tests.surface import Installed

SERVICES = """\
services:
  - name: my-api
    on_call: me
    regions: [east, west]
    scrape: {east: "http://127.0.0.1:1/metrics", west: "http://127.0.0.1:2/metrics"}
    metrics: {errors: {gauge: errors}, traffic: {gauge: traffic}, latency: {gauge: latency}}
contacts:
  me: {name: Me}
"""
RULES = "groups: [{name: a, rules: [{alert: Lonely, expr: x}]}]\n"


def test_every_example_that_init_makes_passes_its_rehearsal(
    holdfast: Holdfast, here: Installed
) -> None:
    here.write("services.yaml", SERVICES)
    for name in ("restart-a-down-service", "rollback-after-bad-deploy", "high-latency"):
        said = holdfast("runbook", "test", name)

        assert said.code == 0, said.out
        assert "match: " in said.out
        assert "PASSED: " in said.out


def test_a_rehearsal_says_each_reason_and_where_it_ends(
    holdfast: Holdfast, here: Installed
) -> None:
    here.write("services.yaml", SERVICES)
    said = holdfast("runbook", "test", "restart-a-down-service", "--region", "west")

    lines = said.out.splitlines()
    assert "  would do: restart_service on my-api@west" in lines
    assert any(line.startswith("    NOT observe: ") for line in lines)
    assert any("precondition: precondition holds" in line for line in lines)
    assert "  verifier: met" in lines
    assert any(line.startswith("end: planned") and "only shown" in line for line in lines)
    assert any("if its steps were allowed and approved: resolved" in line for line in lines)


def test_a_rehearsal_that_does_not_pass_exits_1_and_says_why(
    holdfast: Holdfast, here: Installed
) -> None:
    here.write("services.yaml", SERVICES)
    state = here.write("s.yaml", "signals: {latency: {high: 1}}\nsamples: {latency: 2}\n")
    options = ("runbook", "test", "restart-a-down-service", "--state", state)

    said = holdfast(*options)
    assert said.code == 1
    assert "NOT chosen (chosen: high-latency)" in said.out
    assert "none of its criteria is met" in said.out
    document = holdfast(*options, "--json").document
    assert document["passed"] is False
    assert document["match"]["best"] == "high-latency"


def test_a_runbook_or_a_file_that_is_not_there_is_named(
    holdfast: Holdfast, here: Installed
) -> None:
    here.write("services.yaml", SERVICES)

    assert holdfast("runbook", "test", "none").code == 1
    assert holdfast("runbook", "test", "high-latency", "--state", "gone.yaml").code == 2
    assert holdfast("runbook", "test", "high-latency", "--incident", "INC-9").code == 1


def test_lint_exits_1_for_a_warning_only_when_it_is_strict(
    holdfast: Holdfast, here: Installed
) -> None:
    here.write("services.yaml", SERVICES)

    assert holdfast("runbook", "lint").code == 0
    assert holdfast("runbook", "lint", "--strict").code == 1
    document = holdfast("runbook", "lint", "--json").document
    assert (document["errors"], document["warnings"]) == (0, len(document["findings"]))
    assert {"path", "line", "severity", "rule", "text"} == set(document["findings"][0])


def test_lint_reads_rule_files_of_prometheus(holdfast: Holdfast, here: Installed) -> None:
    rules = here.write("rules.yaml", RULES)
    said = holdfast("runbook", "lint", "--rules", rules)

    assert "rules.yaml:1: warning: alert Lonely: no runbook fits it" in said.out
