from dataclasses import replace

from holdfast.runbooks import Runbook, match, parse
from tests.runbooks.runbook_texts import STEP, runbook_text

DEPLOYED = {"recent_deployments": {"status": "degraded", "suspect": {"service": "shop"}}}
CLEAN = {"recent_deployments": {"status": "healthy", "suspect": None}}


def book(name: str, criteria: str, *, steps: bool = True, services: str = "[]") -> Runbook:
    text = runbook_text(
        front=f"name: {name}\nowner: a\nmatch: {criteria}\nservices: {services}", step=STEP
    )
    parsed = parse(text, f"{name}.md")
    return parsed if steps else replace(parsed, steps=())


ROLLBACK = book("rollback", "{incident_type: [errors], checks: {recent_deployments: suspect}}")
GENERIC = book("generic", "{incident_type: [errors]}", steps=False)
RESTART = book("restart", "{incident_type: [down]}")


def test_the_most_specific_runbook_that_fits_is_chosen_and_the_others_stay_visible() -> None:
    found = match([GENERIC, ROLLBACK, RESTART], "errors", {}, DEPLOYED, ["shop"])

    assert found.best is ROLLBACK
    assert found.alternatives == (GENERIC,)
    assert found.near_misses == ()
    assert "runbook rollback is the most specific one that fits" in found.reasons[0].text


def test_a_near_miss_says_why_not() -> None:
    found = match([ROLLBACK, RESTART], "errors", {}, CLEAN, ["shop"])

    assert found.best is None
    assert [near.runbook for near in found.near_misses] == [ROLLBACK]
    (why,) = found.near_misses[0].reasons
    assert why.sentence() == (
        "check recent_deployments does not fit (reading healthy, names no suspect, "
        "threshold names a suspect, source check recent_deployments)"
    )
    assert found.reasons[0].text == "no runbook fits an incident of type errors"


def test_a_check_that_was_not_run_never_fits() -> None:
    assert match([ROLLBACK], "errors", {}, {}, ["shop"]).best is None


def test_two_executable_runbooks_that_fit_equally_well_are_never_chosen_between() -> None:
    other = book("restart-too", "{incident_type: [down]}")

    found = match([RESTART, other], "down", {}, {}, ["shop"])

    assert found.best is None
    assert not found.reasons[0].ok
    assert "restart and restart-too fit equally well" in found.reasons[0].text
    assert found.alternatives == (RESTART, other)


def test_the_service_s_own_preference_comes_before_everything_else() -> None:
    found = match([ROLLBACK, GENERIC], "errors", {}, DEPLOYED, ["shop"], preferred=["generic"])

    assert found.best is GENERIC
    assert "preferred by the service" in found.reasons[0].text
    assert "no executable step" in found.reasons[1].text


def test_among_equals_the_one_with_steps_is_chosen() -> None:
    prose = book("a-prose", "{incident_type: [down]}", steps=False)
    assert match([prose, RESTART], "down", {}, {}, ["shop"]).best is RESTART


def test_a_runbook_for_other_services_does_not_fit() -> None:
    narrow = book("narrow", "{incident_type: [down]}", services="[other]")

    assert match([narrow], "down", {}, {}, ["shop"]).best is None
    assert match([narrow], "down", {}, {}, ["shop", "other"]).best is narrow


def test_labels_and_check_statuses_must_be_as_written() -> None:
    exact = book("exact", "{labels: {zone: a}, checks: {disk_usage: degraded}}")
    checks = {"disk_usage": {"status": "degraded", "at": "2030-01-01T00:00:00+00:00"}}

    assert match([exact], "x", {"zone": "a"}, checks, []).best is exact
    assert match([exact], "x", {"zone": "b"}, checks, []).best is None
    assert match([exact], "x", {"zone": "a"}, {"disk_usage": {"status": "down"}}, []).best is None


def test_a_runbook_without_criteria_is_never_chosen() -> None:
    found = match([book("any", "{}")], "down", {}, {}, ["shop"])

    assert (found.best, found.near_misses) == (None, ())


def test_a_match_is_plain_data_for_the_ledger() -> None:
    data = match([ROLLBACK, GENERIC], "errors", {}, CLEAN, ["shop"]).as_data()

    assert data["best"] == "generic"
    assert data["near_misses"][0]["runbook"] == "rollback"
