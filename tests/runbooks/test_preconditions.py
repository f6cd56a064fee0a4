import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.runbooks import compile_error, evaluate_precondition

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
VARIABLES = {
    "checks": {
        "recent_deployments": {
            "status": "degraded",
            "at": "2030-01-01T11:59:30+00:00",
            "suspect": {"service": "shop", "age_s": 120.5},
            "ratio": math.nan,
            "nothing": None,
        },
        "rollback_ready": {"status": "healthy", "at": "2030-01-01T11:59:50+00:00"},
        "timeless": {"status": "healthy"},
    },
    "entity": "shop",
    "region": "eu-west",
    "instance": "shop@eu-west",
    "incident": "i-1",
    "readings": {"errors": 0.3},
}


@pytest.mark.parametrize(
    "expression",
    [
        "checks.recent_deployments.suspect.service == entity",
        'checks["rollback_ready"].status == "healthy"',
        "checks.recent_deployments.suspect.age_s < 3600",
        "readings.errors > 0.1 && entity.startsWith('sh')",
        'has(checks.recent_deployments.suspect) && region in ["eu-west"]',
    ],
)
def test_a_precondition_that_is_true_holds(expression: str) -> None:
    reason = evaluate_precondition(expression, VARIABLES, now=NOW)

    assert reason.ok
    assert reason.text == f"precondition holds: {expression}"
    assert compile_error(expression) is None


def test_a_precondition_that_is_false_is_refused_with_what_was_read() -> None:
    reason = evaluate_precondition('checks.rollback_ready.status == "down"', VARIABLES, now=NOW)

    assert not reason.ok
    assert "does not hold" in reason.text
    assert reason.reading == "checks.rollback_ready.status is 'healthy'"
    assert reason.source == "check rollback_ready"
    assert reason.at == "2030-01-01T11:59:50.000000Z"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ('checks.nope.status != "down"', "nothing is known of 'nope'"),
        ("checks.recent_deployments.gone != 1", "nothing is known of 'gone'"),
        ("checks.recent_deployments.ratio != 1.0", "nothing is known of 'ratio'"),
        ("checks.recent_deployments.nothing.service == entity", "No such overload"),
        ("!checks.nope.bad", "nothing is known of 'nope'"),
        ("unheard_of == 1", "Undefined variable"),
        ("entity", "neither true nor false"),
        ("1", "neither true nor false"),
        ("entity < 1", "No such overload"),
        ("1 / 0 == 1", "division by zero"),
        ("entity ==", "column 10"),
        ("(" * 500, "nested too deep"),
        ("true" + " " * 1000, "more than 1000"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "more than 2 loops"),
        ('entity.matches("(")', "not a valid regex"),
        ("", "column 1"),
    ],
)
def test_what_cannot_be_told_is_never_true_and_never_an_exception(
    expression: str, why: str
) -> None:
    reason = evaluate_precondition(expression, VARIABLES, now=NOW)

    assert not reason.ok
    assert "can't be told" in reason.text
    assert why in reason.text


def test_the_time_of_a_precondition_is_that_of_its_oldest_check() -> None:
    both = 'checks.recent_deployments.status == "degraded" && checks.rollback_ready.status != ""'
    assert evaluate_precondition(both, VARIABLES, now=NOW).at == "2030-01-01T11:59:30.000000Z"


def test_a_check_without_a_time_leaves_the_precondition_without_one() -> None:
    reason = evaluate_precondition('checks.timeless.status == "healthy"', VARIABLES, now=NOW)

    assert reason.ok
    assert reason.at is None


def test_a_precondition_on_facts_of_the_incident_alone_is_as_old_as_now() -> None:
    reason = evaluate_precondition('entity == "checks.timeless"', VARIABLES, now=NOW)
    assert reason.at == "2030-01-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("a b", "column 3: extraneous input 'b'"),
        ("nope == 1", "unknown name 'nope'; known are checks"),
        ("delete(entity)", "unknown function 'delete'"),
        ("has(checks)", "invalid argument to has() macro"),
    ],
)
def test_an_expression_that_does_not_compile_is_found_beforehand(
    expression: str, words: str
) -> None:
    assert words in (compile_error(expression) or "")


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(alphabet="checks.entity()[]{}\"'=!<>&|?:+-*/%0123456789 \n\\", max_size=60))
def test_no_expression_raises(expression: str) -> None:
    reason = evaluate_precondition(expression, VARIABLES, now=NOW)
    assert reason.rule == "precondition"
