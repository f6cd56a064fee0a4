"""The live state of a directive: what is old, missing, contradictory or not as assumed refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from holdfast.incident import Step, StepStatus
from holdfast.kernel import Catalogue, Reason, Service, SignalKey, SignalSpec
from holdfast.kernel.catalogue import SignalForm
from holdfast.response import World
from holdfast.response.contradictions import look_again_at
from holdfast.response.events import Prepared
from holdfast.response.live_state import digest, live_reasons, series_to_read
from holdfast.response.ports import CheckResult, Health
from tests.scene import START

NOW = START + timedelta(minutes=5)
NAN = float("nan")
ERRORS, UP = SignalKey("shop", "east", "errors"), SignalKey("shop", "east", "up")
DEPTH = SignalKey("shop", "east", "depth")
QUEUE = SignalSpec(form=SignalForm.GAUGE, metrics=('jobs_waiting{queue="jobs:east"}',))
RATE = SignalSpec(form=SignalForm.RATE, metrics=("errors_total",))
SHOP = Service(
    name="shop",
    regions=("east",),
    scrape={"east": "http://127.0.0.1:1/metrics"},
    signals={"errors": RATE, "depth": QUEUE},
)
WORLD = World(
    catalogue=Catalogue(services={"shop": SHOP, "db": Service(name="db")}),
    check_entities={"replication_status": "db"},
)
Samples = Sequence[tuple[datetime, float]]


def step(**more: Any) -> Step:  # noqa: ANN401 - any field of a step
    fields: dict[str, Any] = {
        "step_id": "S1", "attempt": 1, "action": "restart_service", "target": "shop@east",
        "params": {}, "status": StepStatus.PROPOSED, "impact": "low", "hash": "ab",
        "criteria": ('errors{service="shop"} <= 0.01 for 60s in each region',),
    }  # fmt: skip
    return Step(**fields | more)


def now(value: float, *, age_s: float = 1.0) -> Samples:
    return [(NOW - timedelta(seconds=age_s), value)]


def check(
    name: str,
    status: Health = Health.HEALTHY,
    *,
    age_s: float = 1.0,
    **data: Any,  # noqa: ANN401
) -> CheckResult:
    at = NOW - timedelta(seconds=age_s)
    return CheckResult(name=name, status=status, summary="it says so", at=at, data=data)


def prepared(
    *checks: CheckResult,
    live: Mapping[SignalKey, Samples] | None = None,
    pre_image: Mapping[str, Any] | None = None,
    assumed: Mapping[str, Any] | None = None,
) -> Prepared:
    return Prepared(
        step_id="S1",
        pre_image=pre_image or {"reachable": True, "state": "RUNNING"},
        problem=None,
        checks={each.name: each for each in checks or (check("dns"),)},
        symptom=(),
        log=(),
        acting=(),
        freeze=None,
        system_seq=0,
        live={ERRORS: now(0.31), UP: now(1.0)} | dict(live or {}),
        assumed=assumed,
    )


def refusals(event: Prepared, one: Step | None = None, world: World = WORLD) -> list[Reason]:
    return [each for each in live_reasons(one or step(), event, NOW, world) if not each.ok]


def instance(name: str, **facts: Any) -> CheckResult:  # noqa: ANN401 - what a check finds
    return check(name, instances={"shop@east": facts})


def test_a_fresh_state_that_agrees_is_told_by_region_and_refuses_nothing() -> None:
    reasons = live_reasons(step(), prepared(), NOW, WORLD)

    assert all(reason.ok for reason in reasons)
    [region] = [reason for reason in reasons if reason.text == "shop in east was read"]
    assert region.reading == "errors 0.31, up 1"
    assert str(region.at).startswith("2030-01-01T12:04:59")


def test_the_series_of_the_service_and_of_the_criteria_are_read() -> None:
    elsewhere = step(target="db", criteria=('errors{service="shop"} <= 0.01 for 60s',))

    assert set(series_to_read(step(), WORLD)) == {ERRORS, UP, DEPTH}
    assert series_to_read(elsewhere, WORLD) == (ERRORS,)


@pytest.mark.parametrize(("age_s", "interval_s", "stale"), [
    (1.9, 0.2, False), (2.1, 0.2, True), (119.0, 60.0, False), (121.0, 60.0, True),
])  # fmt: skip
def test_a_source_that_stopped_is_stale_after_two_intervals(
    age_s: float, interval_s: float, *, stale: bool
) -> None:
    world = replace(WORLD, timing=replace(WORLD.timing, sampling_interval_s=interval_s))
    live = {ERRORS: now(0.004, age_s=age_s), UP: now(1.0, age_s=0.1)}
    found = refusals(prepared(live=live), world=world)

    assert bool(found) == stale
    if found:
        assert found[0].source == "errors of shop in east"
        assert found[0].reading == f"{age_s:.1f} s old"


def test_a_gap_counts_as_sampled_and_is_told_as_no_value() -> None:
    event = prepared(live={ERRORS: now(NAN)})

    assert refusals(event) == []
    told = [reason.reading for reason in live_reasons(step(), event, NOW, WORLD)]
    assert "errors no value, up 1" in told


def test_a_criterion_that_nobody_measures_refuses_and_another_series_is_only_missing() -> None:
    [never] = refusals(prepared(live={ERRORS: ()}))
    assert "a criterion asks for it and it was never sampled" in never.text

    event = prepared(live={DEPTH: ()})
    assert refusals(event) == []
    texts = [reason.text for reason in live_reasons(step(), event, NOW, WORLD)]
    assert "missing: depth of shop in east was never sampled" in texts


def test_a_check_that_could_not_look_is_named_missing_and_an_old_one_refuses() -> None:
    blind = check("postgres", Health.DOWN, error="no answer within 10 s")
    event = prepared(blind, check("dns"))
    assert refusals(event) == []
    texts = [reason.text for reason in live_reasons(step(), event, NOW, WORLD)]
    assert "missing: check postgres could not look: it says so" in texts

    [old] = refusals(prepared(check("dns", age_s=121.0)))
    assert (old.source, old.threshold) == ("check dns", "at most 120 s old")


def test_where_nothing_at_all_could_be_read_nothing_is_done() -> None:
    blind = check("postgres", Health.UNKNOWN)
    [found] = refusals(prepared(blind, live={ERRORS: now(NAN), UP: now(NAN)}))

    assert "nothing could be read about shop@east" in found.text


DISAGREE = {
    "down and answers": (
        prepared(instance("http_health", code=200, ms=3.0), live={UP: now(0.0)}),
        "shop@east is down and answers (up of shop in east is 0; http_health of shop@east",
    ),
    "up and refuses": (
        prepared(instance("http_health", code=None, error="ConnectError: refused")),
        "shop@east is up and does not answer",
    ),
    "up and stopped": (
        prepared(instance("service_status", state="FATAL")),
        "its process does not run (up of shop in east is 1; service_status of shop@east is FATAL)",
    ),
    "two primaries": (
        prepared(check("replication_status", two_primaries=True, leader="primary")),
        "two servers take writes",
    ),
    "no primary": (
        prepared(
            check("replication_status", leader=None, primary={"role": "a"}, standby={"role": "b"})
        ),
        "both servers answer and none takes writes",
    ),
    "two depths": (
        prepared(
            check("queue_health", lists={"jobs:east": {"depth": 4000}}), live={DEPTH: now(2.0)}
        ),
        "the depth of jobs:east is told in two ways (depth of shop in east is 2; queue_health",
    ),
    "two clocks": (prepared(live={ERRORS: now(0.1, age_s=-90)}), "sampled in the future"),
}


@pytest.mark.parametrize("name", DISAGREE)
def test_readings_that_exclude_each_other_refuse_and_both_are_named(name: str) -> None:
    event, words = DISAGREE[name]
    [found] = refusals(event)

    assert words in found.text
    assert found.rule == "live state"


def test_readings_of_different_moments_are_read_once_more_before_they_refuse() -> None:
    """The service may have died between the sample and the check."""
    [died] = refusals(prepared(instance("service_status", state="FATAL")))
    later, before = step(proposed_at=NOW), step(proposed_at=NOW - timedelta(seconds=2))
    assert look_again_at([died], later, NOW, WORLD) == NOW + timedelta(seconds=15)
    assert look_again_at([died], before, NOW, WORLD) is None, "sampled after it was asked for"
    assert look_again_at([died], later, NOW + timedelta(seconds=10), WORLD) is None

    frozen = Reason(rule="freeze", ok=False, text="frozen")
    for others in ([], [died, frozen], [frozen]):
        assert look_again_at(others, later, NOW, WORLD) is None


AGREE = {
    "a process that hangs": prepared(
        instance("service_status", state="RUNNING"), live={UP: now(0.0)}
    ),
    "a server that is slow": prepared(
        instance("http_health", code=None, error="no answer within 3 s")
    ),
    "a server that fails": prepared(instance("http_health", code=503, ms=2.0)),
    "a primary that is gone": prepared(
        check("replication_status", leader=None, primary={"error": "gone"}, standby={"role": "b"})
    ),
    "depths a little apart": prepared(
        check("queue_health", lists={"jobs:east": {"depth": 120}}), live={DEPTH: now(80.0)}
    ),
    "another queue": prepared(
        check("queue_health", lists={"mails:east": {"depth": 9000}}), live={DEPTH: now(2.0)}
    ),
}


@pytest.mark.parametrize("name", AGREE)
def test_a_trouble_that_a_step_is_for_is_no_contradiction(name: str) -> None:
    assert refusals(AGREE[name]) == []


def test_a_database_without_a_primary_may_be_acted_on_itself() -> None:
    none = check("replication_status", leader=None, primary={"role": "a"}, standby={"role": "b"})
    one = step(target="db", criteria=())

    assert refusals(prepared(none), one) == []


BEFORE = {
    "reachable": True,
    "state": "RUNNING",
    "pid": 7,
    "uptime_s": 3,
    "waiting": 12,
    "planes": [{"plane": "queue jobs", "now": "12 wait", "intended": "0 wait"}],
}


def test_what_changes_by_itself_does_not_change_the_digest_and_what_somebody_did_does() -> None:
    later = BEFORE | {"uptime_s": 9, "waiting": 40, "planes": [{"plane": "queue jobs",
        "now": "40 wait", "intended": "0 wait"}]}  # fmt: skip

    assert digest("shop", later) == digest("shop", BEFORE)
    changes: list[dict[str, Any]] = [{"pid": 8}, {"state": "STOPPED"}, {"planes": []}]
    for change in changes:
        assert digest("shop", BEFORE | change) != digest("shop", BEFORE)


@pytest.mark.parametrize(
    ("then", "soon_after"),
    [
        ({"stderr_tail": "one line"}, {"stderr_tail": "one line\nand another"}),
        (
            {"files": 3, "bytes": 9, "younger_files": 1, "left_alone": 0, "counted_all": True},
            {"files": 4, "bytes": 12, "younger_files": 2, "left_alone": 1, "counted_all": False},
        ),
        ({"pods": ["shop/web-x2x"]}, {"pods": ["shop/web-q9z"]}),
        ({"rollout": "3 of 3 updated, 3 available"}, {"rollout": "3 of 3 updated, 2 available"}),
    ],
    ids=["what a process says", "temporary files", "pods", "a rollout"],
)
def test_what_a_target_writes_or_moves_by_itself_is_nobodys_change(
    then: dict[str, Any], soon_after: dict[str, Any]
) -> None:
    assert digest("shop", BEFORE | then) == digest("shop", BEFORE | soon_after)


def test_a_target_that_changed_since_the_dry_run_refuses_and_says_what_changed() -> None:
    one = step(seen=digest("shop@east", BEFORE)[:16])
    assert refusals(prepared(pre_image=BEFORE), one) == []
    assert refusals(prepared(pre_image=BEFORE), step(seen=digest("shop@west", BEFORE))) != []

    event = prepared(pre_image=BEFORE | {"pid": 8}, assumed=BEFORE)
    [changed] = refusals(event, one)
    assert "pid was 7 and is 8" in changed.text

    [unknown] = refusals(replace(event, assumed=None), one)
    assert "pid=8" in unknown.text, "without the earlier look: what is there now"
