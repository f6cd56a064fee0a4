"""Which incidents no runbook fits, which runbooks fit none, which two fit equally well."""

import pytest

from holdfast.runbooks import (
    Ground,
    Need,
    Runbook,
    could_fit,
    equal_fits,
    never_fits,
    never_holds,
    parse,
    unanswered,
)
from tests.runbooks.runbook_texts import STEP, runbook_text

GROUND = Ground(
    incident_types=("service_down", "high_error_rate", "unknown"),
    checks=("service_status", "redis_health"),
    missing_checks=("redis_health",),
    services={"shop": (), "stock": ("restart-stock",)},
    regions=("east", "west"),
)


def made(match: str, *, name: str = "a", more: str = "", step: str = STEP) -> Runbook:
    front = f"name: {name}\nowner: b\nmatch: {{{match}}}{more}"
    return parse(runbook_text(front=front, step=step), f"{name}.md")


def texts(runbook: Runbook) -> list[str]:
    return [finding.text for finding in never_fits(runbook, GROUND)]


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("incident_type: [servce_down]", "type 'servce_down'; did you mean 'service_down'?"),
        ("checks: {service_staus: down}", "there is no check 'service_staus'"),
        ("checks: {redis_health: down}", "the check redis_health is not set up here"),
        ("labels: {service: shp}", "no incident has service 'shp'; did you mean 'shop'?"),
        ("labels: {region: north}", "no incident has region 'north'"),
    ],
)
def test_a_criterion_that_no_incident_can_meet_is_found(match: str, words: str) -> None:
    (text,) = texts(made(match))

    assert words in text


def test_what_an_alert_may_bring_is_not_doubted() -> None:
    assert texts(made("incident_type: [service_down], labels: {team: payments}")) == []


def test_a_service_that_is_not_there_is_found() -> None:
    (text,) = texts(made("incident_type: [service_down]", more="\nservices: [shop, stok]"))

    assert "`services` names 'stok'" in text


def test_a_precondition_on_a_check_that_never_answers_is_found() -> None:
    step = STEP.replace("checks.service_status.status", "checks.redis_health.status")
    (found,) = never_holds(made("incident_type: [service_down]", step=step), GROUND)

    assert "the check redis_health is not set up here, so it can't be told" in found.text
    assert found.line > 2


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("incident_type: [service_down]", "incident_type: [service_down, unknown]", True),
        ("incident_type: [service_down]", "incident_type: [unknown]", False),
        ("incident_type: [service_down]", "labels: {service: shop}", True),
        ("labels: {region: east}", "labels: {region: west}", False),
        ("checks: {service_status: down}", "checks: {service_status: healthy}", False),
        (
            "incident_type: [service_down]",
            "incident_type: [service_down], labels: {region: east}",
            False,
        ),
    ],
)
def test_two_that_fit_one_incident_equally_well_are_found(
    first: str, second: str, *, equal: bool
) -> None:
    found = list(equal_fits([made(first), made(second, name="b")], GROUND))

    assert [(runbook.name, finding.rule) for runbook, finding in found] == (
        [("b", "equal fit")] if equal else []
    )


def test_two_for_different_services_or_with_a_preference_do_not_compete() -> None:
    match = "incident_type: [service_down]"
    shop, stock = (
        made(match, name=n, more=f"\nservices: [{s}]") for n, s in (("x", "shop"), ("y", "stock"))
    )
    preferred = made(match, name="restart-stock", more="\nservices: [stock]")

    assert list(equal_fits([shop, stock], GROUND)) == []
    assert list(equal_fits([stock, preferred], GROUND)) == []


def test_one_without_steps_competes_with_none() -> None:
    text = "---\nname: b\nmatch: {incident_type: [service_down]}\n---\n## Meaning\n\nx\n"

    pair = [made("incident_type: [service_down]"), parse(text, "b.md")]

    assert list(equal_fits(pair, GROUND)) == []


def test_an_incident_that_no_runbook_fits_is_named_with_all_that_open_it() -> None:
    needs = [
        Need(incident_type="service_down", service="shop", why="up of shop"),
        Need(incident_type="high_error_rate", service="shop", why="errors of shop"),
        Need(incident_type="high_error_rate", service="stock", why="errors of stock"),
    ]
    known = [made("incident_type: [service_down]"), made("", name="never")]

    ((incident_type, missing),) = unanswered(known, needs)

    assert incident_type == "high_error_rate"
    assert [need.why for need in missing] == ["errors of shop", "errors of stock"]


def test_an_alert_is_answered_by_the_labels_that_it_surely_has() -> None:
    def fits(match: str, **labels: str) -> bool:
        return could_fit(
            made(match), Need(incident_type="unknown", service=None, why="-", labels=labels)
        )

    assert fits("labels: {alertname: DiskFull}", alertname="DiskFull")
    assert not fits("labels: {alertname: DiskFull}", alertname="Other")
    assert not fits("labels: {team: a}", alertname="DiskFull")
    assert fits("labels: {alertname: DiskFull, region: east}", alertname="DiskFull")
    assert not fits("incident_type: [service_down]", alertname="DiskFull")
