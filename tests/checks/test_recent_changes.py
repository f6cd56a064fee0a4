from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.checks.recent_changes import RecentChanges
from holdfast.kernel.catalogue import Service
from holdfast.kernel.clock import format_at
from holdfast.response.ports import CheckResult, Health
from tests.io_parts import NOW, catalogue, context

SERVICES = catalogue(
    Service(name="web", depends_on=("api",)), Service(name="api"), Service(name="mail")
)


def change(
    ago_s: float, kind: str = "flag", service: str = "api", **more: object
) -> dict[str, Any]:
    return {
        "id": f"{kind}-{ago_s:g}",
        "at": format_at(NOW - timedelta(seconds=ago_s)),
        "kind": kind,
        "service": service,
        "summary": f"{kind} turned",
        "author": "dana",
        **more,
    }


def looked(*changes: Mapping[str, Any], late_s: float = 0.0) -> CheckResult:
    check = RecentChanges(lambda _: changes, SERVICES, window_s=3600, allowance_s=6)
    return check.run(context("web", now=NOW + timedelta(seconds=late_s)))


def test_the_newest_change_before_the_trouble_on_what_it_depends_on_is_the_suspect() -> None:
    result = looked(change(900), change(40, region="north"), change(3000, "config"), late_s=20)

    assert result.status is Health.DEGRADED
    assert result.data["suspect"] == {
        "id": "flag-40",
        "kind": "flag",
        "service": "api",
        "region": "north",
        "at": format_at(NOW - timedelta(seconds=40)),
        "age_s": 60.0,
        "summary": "flag turned",
        "author": "dana",
        "version": None,
        "previous": None,
    }
    assert [each["id"] for each in result.data["changes"]] == ["flag-40", "flag-900", "config-3000"]
    assert result.summary == (
        "flag of api in north changed 40 s before the trouble began: flag turned (by dana)"
    )


def test_a_deployment_is_listed_and_left_to_the_check_of_deployments() -> None:
    result = looked(change(10, "deploy", version="v2"))

    assert result.status is Health.HEALTHY
    assert result.data["suspect"] is None
    assert result.data["changes"][0]["version"] == "v2"


def test_what_is_too_old_too_late_or_elsewhere_is_no_suspect() -> None:
    result = looked(change(4000), change(-7), change(20, service="mail"), late_s=30)

    assert result.status is Health.HEALTHY
    assert result.data["suspect"] is None
    assert result.data["elsewhere"] == 1


def test_a_change_a_sample_after_the_onset_is_still_a_suspect() -> None:
    result = looked(change(-5), late_s=30)

    assert result.data["suspect"]["id"] == "flag--5"
    assert "5 s after the trouble began" in result.summary


def test_one_change_told_twice_counts_once_and_one_without_a_time_not_at_all() -> None:
    result = looked(change(10), change(10), {**change(5), "at": "yesterday"})

    assert [each["id"] for each in result.data["changes"]] == ["flag-10"]


def test_an_old_incident_is_looked_at_with_what_was_recent_when_it_began() -> None:
    asked: list[datetime] = []

    def since(at: datetime) -> tuple[Mapping[str, Any], ...]:
        asked.append(at)
        return ()

    check = RecentChanges(since, SERVICES, window_s=3600)
    result = check.run(context("web", started_at=NOW - timedelta(hours=9)))

    assert asked == [NOW - timedelta(hours=10)]
    assert result.summary == "no change is known within 60 minutes"
