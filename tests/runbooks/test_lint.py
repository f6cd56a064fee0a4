from importlib.resources import files

import pytest

from holdfast.runbooks import Finding, Habits, Severity, lint, lint_names, parse
from holdfast.verification import parse_expectation
from tests.runbooks.runbook_texts import STEP, runbook_text

ACTIONS = {"restart_service": "low", "rollback_deploy": "low", "failover_db": "high"}
EXAMPLES = sorted(
    (f for f in (files("holdfast.runbooks") / "examples").iterdir() if f.name.endswith(".md")),
    key=lambda f: f.name,
)


def findings(text: str | bytes, habits: Habits | None = None) -> tuple[Finding, ...]:
    return lint(text, ACTIONS, check_criterion=parse_expectation, habits=habits)


def test_a_good_runbook_has_no_findings() -> None:
    assert findings(runbook_text()) == ()


@pytest.mark.parametrize(
    ("old", "new", "severity", "words"),
    [
        ("restart_service", "restart_servce", "error", "unknown action 'restart_servce'; did you mean"),
        ("== 1 for", "= 1 for", "error", "column"),
        ('service="${entity}"', 'service="${entiti}"', "error", "unknown variable ${entiti}; did you mean 'entity'?"),
        ('.status == "down"', '.status = "down"', "error", "`when:"),
        ("checks.service_status", "chekcs.service_status", "error", "unknown name 'chekcs'"),
        ("undo: stop it again\n", "", "warning", "no `undo`"),
        ("impact: low", "impact: high", "", ""),
        ("restart_service", "failover_db", "warning", "failover_db always counts as high"),
        ('{service="${entity}"}', "", "warning", "names no service"),
    ],
)  # fmt: skip
def test_a_finding_names_the_step_its_line_and_what_to_do(
    old: str, new: str, severity: str, words: str
) -> None:
    found = findings(runbook_text(step=STEP.replace(old, new)))

    if not severity:
        assert found == ()
        return
    assert [f.severity.value for f in found] == [severity]
    assert "step 'Restart it'" in found[0].text
    assert words in found[0].text
    assert found[0].line == 22


def test_a_step_without_criterion_or_precondition_is_found() -> None:
    found = findings(runbook_text(step="action: restart_service\ntarget: t\nundo: x\n"))

    assert [(f.severity, f.text.split("; ")[0]) for f in found] == [
        (
            Severity.ERROR,
            "step 'Restart it': no `expect`, so it can never be told whether it helped and it is never performed",
        ),
        (Severity.WARNING, "step 'Restart it': no `when`, so a match alone performs it"),
    ]


def test_a_high_impact_step_in_an_autonomous_runbook_says_that_it_waits() -> None:
    text = runbook_text(
        front="name: a\nowner: b\nmode: autonomous\nmatch: {incident_type: [x]}",
        step=STEP.replace("impact: low", "impact: high"),
    )
    assert "waits for an approval all the same" in findings(text)[0].text


def test_what_a_person_would_miss_is_a_warning() -> None:
    texts = [f.text for f in findings("---\nname: a\n---\n## Meaning\n\nx\n")]

    assert any("no `owner`" in text for text in texts)
    assert any("no `match`" in text for text in texts)
    assert any("no section `## Impact`, `## Diagnosis`, `## Mitigation`" in text for text in texts)


def test_a_text_that_cannot_be_read_is_one_error_with_its_line() -> None:
    (found,) = findings("---\nname: a\nnmae: b\n---\n")

    assert (found.severity, found.line) == (Severity.ERROR, 3)


def test_a_dead_relative_link_is_found_and_the_web_is_left_alone() -> None:
    text = (
        runbook_text() + "\n[a](gone.md#x)\n[b](https://example.org/x)\n[c](#here)\n[d](here.md)\n"
    )
    found = lint(
        text,
        ACTIONS,
        check_criterion=parse_expectation,
        link_exists={"here.md", "#here"}.__contains__,
    )

    assert [f.text for f in found] == ["the link 'gone.md#x' leads nowhere; correct it"]


def test_two_runbooks_of_one_name_are_an_error() -> None:
    first, second = (parse(runbook_text(), path) for path in ("a.md", "b.md"))

    assert lint_names([first]) == ()
    assert "b.md: the name 'restart' is taken by a.md" in lint_names([first, second])[0].text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_examples_that_come_with_holdfast_are_clean(example: object) -> None:
    text = example.read_bytes()  # type: ignore[attr-defined] # a file of the package
    assert findings(text) == ()


def test_the_examples_are_two_with_a_step_and_one_without() -> None:
    books = [parse(example.read_bytes(), example.name) for example in EXAMPLES]

    assert {book.name: book.executable for book in books} == {
        "high-latency": False,
        "restart-a-down-service": True,
        "rollback-after-bad-deploy": True,
    }


@pytest.mark.parametrize(
    ("step", "habits", "rule", "words"),
    [
        (
            STEP.replace("undo: stop it again\n", ""),
            Habits(for_good={"restart_service"}),
            "undo",
            "restart_service can't be taken back by Holdfast; say so",
        ),
        (STEP, Habits(unrepeatable={"restart_service"}), "repeats", "repeatable `none`"),
        (STEP, Habits(most={"restart_service": 1}), "repeats", "the limits allow 1 of"),
        (STEP, Habits(lease_s=5.0), "times", "`timeout` 10 s is longer than `lease_s` (5 s)"),
        (STEP, Habits(cooldown_s=60.0), "times", "shorter than `cooldown_s` of the installation"),
    ],
)
def test_a_step_that_goes_against_the_habits_of_the_installation_is_a_warning(
    step: str, habits: Habits, rule: str, words: str
) -> None:
    (found,) = findings(runbook_text(step=step), habits)

    assert (found.severity, found.rule) == (Severity.WARNING, rule)
    assert words in found.text


def test_a_finding_says_which_rule_it_is_of() -> None:
    found = findings(runbook_text(step=STEP.replace("restart_service", "rm_rf")))

    assert found[0].as_data()["rule"] == "action"
