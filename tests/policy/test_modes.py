from dataclasses import replace

import pytest

from holdfast.kernel import BadInputError
from holdfast.policy import Mode, SetMode, effective_mode, evaluate, mode_applies
from tests.policy.questions import AUTONOMOUS, GRANT, NOW, ask


def said(mode: str) -> SetMode:
    return SetMode(scope="all", mode=Mode(mode), by="ravi", why="an audit", since=NOW)


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, Mode.AUTONOMOUS),
        ({"installation": "supervised"}, Mode.SUPERVISED),
        ({"service": "guided"}, Mode.GUIDED),
        ({"runbook": "observe"}, Mode.OBSERVE),
        ({"people": (said("guided"),)}, Mode.GUIDED),
        ({"people": (said("supervised"), said("observe"))}, Mode.OBSERVE),
        ({"installation": "observe", "people": (said("autonomous"),)}, Mode.OBSERVE),
        ({"installation": "guided", "runbook": "autonomous"}, Mode.GUIDED),
        ({"grant": None}, Mode.SUPERVISED),
        ({"grant": replace(GRANT, runbook="other")}, Mode.SUPERVISED),
        ({"grant": replace(GRANT, service="other")}, Mode.SUPERVISED),
        ({"runbook_name": None}, Mode.SUPERVISED),
        ({"grant": None, "installation": "observe"}, Mode.OBSERVE),
    ],
)
def test_the_effective_mode_is_the_lowest_that_everyone_allows(
    changes: dict[str, object], mode: Mode
) -> None:
    assert effective_mode(replace(AUTONOMOUS, **changes)).mode is mode  # type: ignore[arg-type] # any field


def test_the_reasons_say_who_lowered_the_mode() -> None:
    found = effective_mode(replace(AUTONOMOUS, service="guided"))

    assert [reason.text for reason in found.reasons if not reason.ok] == [
        "service shop allows guided"
    ]
    assert found.reasons[-1].text == (
        "dana granted autonomy to runbook restart on shop: 12 good runs"
    )


def test_a_grant_for_something_else_is_named() -> None:
    found = effective_mode(replace(AUTONOMOUS, grant=replace(GRANT, service="other")))
    assert "granted to runbook restart on other, not to runbook restart on shop" in (
        found.reasons[-1].text
    )


def test_a_mode_that_nobody_knows_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="the mode 'fast' is unknown; choose observe, guided"):
        effective_mode(replace(AUTONOMOUS, runbook="fast"))


@pytest.mark.parametrize(
    ("mode", "words"),
    [("observe", "is only shown"), ("guided", "only a person's directive")],
)
def test_a_step_that_a_set_mode_stops_says_who_set_it_and_why(mode: str, words: str) -> None:
    verdict = evaluate(ask(modes=replace(AUTONOMOUS, people=(said(mode),))))
    (refusal,) = verdict.refusals

    assert words in refusal.text
    assert f"ravi set the mode of all to at most {mode}: an audit" in refusal.text
    assert verdict.would_have is (mode == "observe")
    assert verdict.lowered_by


def test_a_mode_that_lowers_nothing_is_blamed_for_nothing() -> None:
    configured = replace(AUTONOMOUS, installation="observe", people=(said("guided"),))
    verdict = evaluate(ask(modes=configured))

    assert "ravi" not in verdict.refusals[0].text
    assert verdict.lowered_by == ""


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("all", True), ("service:shop", True), ("service:stock", False), ("incident:INC-1", True),
        ("incident:INC-2", False), ("runbook:tidy", True), ("runbook:other", False),
        ("service:", True), ("planet:mars", True), ("", True),
    ],
)  # fmt: skip
def test_a_set_mode_covers_its_scope_and_one_that_nobody_can_read_covers_everything(
    scope: str,
    covered: bool,  # noqa: FBT001 - a column of the table
) -> None:
    where = {"service": "shop", "incident_id": "INC-1"}
    assert mode_applies(scope, **where, runbook="tidy") is covered


def test_a_runbook_s_mode_says_nothing_about_what_a_person_chose() -> None:
    assert not mode_applies("runbook:tidy", service="shop", incident_id="INC-1")
