"""Runbooks that would give themselves more than they have, and words that are nobody's reason."""

from dataclasses import replace
from pathlib import Path

from holdfast.runbooks import lint
from holdfast.verification import parse_expectation
from tests.response.response_world import runbook, world
from tests.runbooks.runbook_texts import STEP, runbook_text
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import Stage, opened, without_a_runbook

ROWS = Group("Runbooks and other texts")
KNOWN = {"restart_service": "low", "failover_db": "high"}
AUTONOMOUS = "name: restart\nowner: team-a\nmode: autonomous\nmatch: {incident_type: [down]}"


def linted(text: str, severity: str = "error") -> Met:
    """Lint a runbook; `done` counts it when it is fit to run all the same."""
    found = lint(text, KNOWN, check_criterion=parse_expectation)
    wanted = [each for each in found if each.severity.value == severity]
    said = f"{wanted[0].severity.value}, line {wanted[0].line}: {wanted[0].text}" if wanted else ""
    return Met(said=said, done=0 if wanted else 1)


@ROWS.unsafe(
    "A runbook that grants itself autonomy",
    stops=Stop.GUARD,
    rule="mode",
    way_out="A person grants it for this runbook on this service (`autonomy` in holdfast.yaml)",
)
def runbook_grants_itself_autonomy(_directory: Path) -> Met:
    book = replace(runbook("${entity}"), mode="autonomous")
    stage = Stage(world=replace(world(book), grants=()))
    return stage.meets(lambda: opened(stage), lambda: stage.asked("mode"))


@ROWS.unsafe(
    "A runbook that raises the mode of its installation",
    stops=Stop.GUARD,
    rule="mode",
    way_out="Lower modes win; a person raises the installation's in holdfast.yaml",
)
def runbook_raises_the_mode(_directory: Path) -> Met:
    book = replace(runbook("${entity}"), mode="autonomous")
    stage = Stage(world=world(book, mode="guided"))
    return stage.meets(lambda: opened(stage), lambda: stage.blocked("mode"))


@ROWS.unsafe(
    "Any step of a runbook in mode observe",
    stops=Stop.GUARD,
    rule="mode",
    way_out="Read what would have been done; choose a higher mode when it is right",
)
def observing(_directory: Path) -> Met:
    stage = Stage(world=world(mode="observe"))
    return stage.meets(lambda: opened(stage), stage.blocked)


@ROWS.unsafe(
    "A runbook that lowers the impact of its action",
    stops=Stop.GUARD,
    rule="impact",
    way_out="Approve the step, or deny it",
)
def runbook_lowers_an_impact(_directory: Path) -> Met:
    stage = Stage(world=world(runbook("${entity}", impact="low"), least_impact="high"))
    return stage.meets(lambda: opened(stage), lambda: stage.asked("impact"))


@ROWS.unsafe(
    "The same, while it is written",
    stops=Stop.LINT,
    way_out="Write `impact: high`",
)
def lint_finds_a_lowered_impact(_directory: Path) -> Met:
    return linted(runbook_text(step=STEP.replace("restart_service", "failover_db")), "warning")


@ROWS.unsafe("A runbook with an action that nobody knows", stops=Stop.LINT, way_out="Correct it")
def unknown_action(_directory: Path) -> Met:
    return linted(runbook_text(step=STEP.replace("restart_service", "restart_servce")))


@ROWS.unsafe(
    "A runbook that makes its target of something unknown",
    stops=Stop.LINT,
    way_out="Use one of the known variables",
)
def unknown_variable(_directory: Path) -> Met:
    return linted(runbook_text(step=STEP.replace("${instance}", "${labels}")))


@ROWS.unsafe(
    "A runbook's step without a recovery criterion",
    stops=Stop.LINT,
    way_out="Add `expect`",
)
def runbook_without_a_criterion(_directory: Path) -> Met:
    return linted(runbook_text(step="action: restart_service\ntarget: t\nundo: x\n"))


@ROWS.unsafe(
    "A runbook that names a key nobody knows, as `approved: true`",
    stops=Stop.LINT,
    way_out="Take it away; an approval is a person's",
)
def runbook_approves_itself(_directory: Path) -> Met:
    return linted(runbook_text(step=STEP + "approved: true\n"))


@ROWS.unsafe(
    "A directive without a recovery criterion",
    stops=Stop.GUARD,
    rule="criteria",
    way_out="Say what recovered means: `--expect`",
)
def directive_without_a_criterion(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(expect=[]), lambda: stage.blocked("criteria"))


@ROWS.unsafe(
    "A directive of an action that nobody knows",
    stops=Stop.REQUEST,
    way_out="Use one of the known actions",
)
def directive_of_an_unknown_action(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(action="format_disk"))


@ROWS.unsafe(
    "A directive on a target that is in no catalogue",
    stops=Stop.REQUEST,
    way_out="Use one of the known services",
)
def directive_on_an_unknown_target(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(target="shop-*"))


@ROWS.unsafe(
    "A second directive while the first one is not verified",
    stops=Stop.REQUEST,
    way_out="Wait for its verdict; one step at a time",
)
def second_directive(_directory: Path) -> Met:
    stage = without_a_runbook()
    stage.direct()
    assert stage.performed() == 1
    return stage.meets(stage.directing())


@ROWS.unsafe(
    "A precondition that nobody can tell: its check did not answer",
    stops=Stop.GUARD,
    rule="preconditions",
    way_out="Mend the check, or look yourself and direct the step",
)
def unknown_precondition(_directory: Path) -> Met:
    book = runbook("${entity}")
    step = replace(book.steps[0], when=('checks.disk_usage.status == "healthy"',))
    stage = Stage(world=world(replace(book, steps=(step,))))
    return stage.meets(lambda: opened(stage), lambda: stage.blocked("precondition"))
