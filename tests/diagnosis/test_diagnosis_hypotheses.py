"""Evidence becomes ranked hypotheses: upstream first, contradictions count, rivals stay."""

from collections.abc import Mapping
from typing import Any

from holdfast.diagnosis import Diagnosis, EvidenceClass, gather, rank, unhealthy
from holdfast.kernel import Catalogue, Service

AT = "2030-01-01T12:00:00+00:00"
ENTITIES = {"database_connections": "shop-db", "redis_health": "shop-cache"}
CATALOGUE = Catalogue(
    services={
        "shop-web": Service(name="shop-web", depends_on=("shop-api",)),
        "shop-api": Service(name="shop-api", depends_on=("shop-db", "shop-cache")),
        "shop-db": Service(name="shop-db"),
        "shop-cache": Service(name="shop-cache"),
        "mailer": Service(name="mailer"),
    }
)


def bad(service: str = "shop-api", name: str = "errors", region: str = "east") -> dict[str, Any]:
    series = f"{name} of {service} in {region}"
    return {
        "series": series, "service": service, "region": region, "signal": name, "state": "bad",
        "at": AT, "value": 0.3, "expected": 0.01, "reason": f"{series} is high",
    }  # fmt: skip


def check(status: str = "healthy", **data: Any) -> dict[str, Any]:  # noqa: ANN401 - any data of a check
    return {"status": status, "summary": f"it is {status}", "at": AT, **data}


def deployed(service: str = "shop-api") -> dict[str, Any]:
    suspect = {
        "id": 17, "service": service, "version": "2.4.0", "previous_version": "2.3.9",
        "deployed_by": "lee", "age_s": 90.0,
    }  # fmt: skip
    return check("degraded", suspect=suspect)


def diagnose(signals: list[dict[str, Any]], checks: Mapping[str, Any]) -> Diagnosis:
    return rank(gather(signals, checks, ENTITIES), CATALOGUE, checks)


def order(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(h.entity, h.mechanism) for h in diagnosis.hypotheses]


# --- evidence


def test_every_fact_has_an_id_a_source_and_a_time_and_concludes_nothing() -> None:
    checks = {"recent_deployments": deployed(), "database_connections": check("degraded")}
    evidence = gather([bad()], checks, ENTITIES)

    assert [e.id for e in evidence] == ["E1", "E2", "E3"]
    assert [e.cls for e in evidence] == [
        EvidenceClass.SYMPTOM, EvidenceClass.CHANGE, EvidenceClass.LOCAL_CAUSE,
    ]  # fmt: skip
    assert [e.source for e in evidence] == [
        "detection",
        "check recent_deployments",
        "check database_connections",
    ]
    assert all(e.at == AT for e in evidence)
    assert evidence[2].entity == "shop-db"
    assert evidence[1].as_data()["class"] == "change"


def test_a_series_that_came_back_is_no_evidence_of_trouble() -> None:
    assert gather([{**bad(), "state": "returned"}], {}, ENTITIES) == ()


def test_a_check_that_gave_no_reading_is_missing_context_and_no_evidence() -> None:
    checks = {
        "database_connections": check("down", error="no answer within 10 s"),
        "redis_health": check("unknown"),
    }
    diagnosis = diagnose([bad()], checks)

    assert gather([], checks, ENTITIES) == ()
    told = "; ".join(diagnosis.missing_context)
    assert "check database_connections gave no reading" in told
    assert "check redis_health gave no reading" in told


def test_a_target_that_is_down_is_a_cause_and_its_health_page_only_a_symptom() -> None:
    instances = {
        "shop-api@east": {"code": None, "error": "refused"},
        "shop-api@west": {"code": 200},
    }
    evidence = gather(
        [bad(name="up")], {"http_health": check("down", instances=instances)}, ENTITIES
    )

    assert [(e.kind, e.region, e.cls.value) for e in evidence] == [
        ("target_down", "east", "local_cause"),
        ("http_health", "east", "symptom"),
        ("http_health", "west", "absence"),
    ]


def test_what_is_unhealthy_is_what_found_trouble_or_failed_to_look() -> None:
    checks = {
        "recent_deployments": deployed(),
        "rollback_ready": check("degraded"),
        "disk_usage": check("degraded"),
        "http_health": check("down"),
        "redis_health": check("unknown"),
        "service_status": check("healthy"),
        "database_connections": check("down", error="hung"),
    }

    assert unhealthy(checks) == ("disk_usage", "http_health", "database_connections")


# --- ranking


def test_a_release_with_a_symptom_on_it_comes_first() -> None:
    diagnosis = diagnose([bad(), bad(region="west")], {"recent_deployments": deployed()})
    first = diagnosis.hypotheses[0]

    assert (first.entity, first.mechanism, first.confidence) == ("shop-api", "release", "likely")
    assert (first.change_id, first.supports) == ("17", ("E3", "E1", "E2"))
    assert first.next_check


def test_the_upstream_cause_comes_before_the_service_that_only_shows_it() -> None:
    diagnosis = diagnose([bad(), bad("shop-web")], {"database_connections": check("degraded")})

    assert order(diagnosis)[0] == ("shop-db", "database_contention")
    assert {("shop-api", "unknown"), ("shop-web", "unknown")} <= set(order(diagnosis))


def test_rivals_stay_in_the_list_and_take_the_certainty_away() -> None:
    checks = {"recent_deployments": deployed(), "database_connections": check("degraded")}
    diagnosis = diagnose([bad()], checks)

    assert set(order(diagnosis)) == {("shop-api", "release"), ("shop-db", "database_contention")}
    assert diagnosis.hypotheses[0].confidence == "possible"
    assert diagnosis.hypotheses[0].margin < 1


def test_a_deploy_without_a_symptom_on_it_or_below_it_explains_nothing() -> None:
    diagnosis = diagnose([bad()], {"recent_deployments": deployed("mailer")})
    release = next(h for h in diagnosis.hypotheses if h.mechanism == "release")

    assert release.confidence == "unclear"
    assert release.expected_but_missing
    assert release.score == 1.0


def test_a_healthy_reading_of_the_very_thing_speaks_against_it() -> None:
    running = {"shop-api@east": {"state": "RUNNING"}, "shop-api@west": {"state": "RUNNING"}}
    signals = [bad(name="up")]
    alone = diagnose(signals, {}).hypotheses[0]
    against = diagnose(signals, {"service_status": check(instances=running)}).hypotheses[0]

    assert alone.contradicts == ()
    assert len(against.contradicts) == 1, "only the region that is said to be down"
    assert against.score == alone.score - 1


def test_a_symptom_that_nothing_explains_is_said_to_be_unexplained() -> None:
    (only,) = diagnose([bad()], {"disk_usage": check()}).hypotheses

    assert (only.entity, only.mechanism, only.confidence) == ("shop-api", "unknown", "unclear")
    assert "no check has seen" in only.text


def test_one_region_is_named_and_several_are_not() -> None:
    assert diagnose([bad(name="up")], {}).hypotheses[0].region == "east"
    both = [bad(name="up"), bad(name="up", region="west")]
    assert diagnose(both, {}).hypotheses[0].region is None


def test_without_evidence_there_is_no_hypothesis() -> None:
    assert diagnose([], {"disk_usage": check()}).hypotheses == ()


def test_ranks_count_from_one_and_scores_fall() -> None:
    checks = {
        "recent_deployments": deployed(),
        "redis_health": check("down"),
        "disk_usage": check("degraded"),
    }
    found = diagnose([bad(), bad("shop-web")], checks).hypotheses

    assert [h.rank for h in found] == list(range(1, len(found) + 1))
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert [h.as_data()["id"] for h in found] == [f"H{h.rank}" for h in found]


def known_change() -> dict[str, object]:
    return {
        "id": "7",
        "at": "2030-01-01T00:00:00.000000Z",
        "kind": "deploy",
        "service": "shop-api",
        "version": "v8",
        "previous": "v7",
        "author": "dana",
        "summary": None,
    }


def test_a_change_known_before_counts_where_deployments_cannot_be_read_now() -> None:
    gone = {
        "recent_deployments": {"status": "down", "summary": "gone", "error": "gone", "at": None}
    }
    evidence = gather([bad()], gone, ENTITIES, [known_change()])
    assert [e.change_id for e in evidence if e.kind == "deploy"] == ["7"]
    assert rank(evidence, CATALOGUE, gone).hypotheses[0].mechanism == "release"


def test_a_change_known_before_is_not_counted_beside_a_fresh_reading() -> None:
    read = {"recent_deployments": {"status": "healthy", "summary": "none", "suspect": None}}
    evidence = gather([bad()], read, ENTITIES, [known_change()])
    assert not [e for e in evidence if e.kind == "deploy"]


def resource(service: str, name: str, region: str = "global") -> dict[str, Any]:
    return bad(service, name, region)


def test_something_that_runs_out_is_a_cause_where_it_runs_out() -> None:
    for name in ("connections", "disk", "memory"):
        found = diagnose([resource("shop-db", name)], {})
        assert found.hypotheses[0].entity == "shop-db"
        assert found.hypotheses[0].mechanism != "unknown"


def test_a_jam_in_a_store_is_the_symptom_of_whoever_holds_its_connections() -> None:
    jam = check("degraded")
    signals = [bad("shop-api", "connections"), bad("shop-api", "latency")]
    found = diagnose(signals, {"database_connections": jam})
    assert order(found)[0] == ("shop-api", "connection_leak")
    assert ("shop-db", "database_contention") not in order(found)
    alone = diagnose([bad("shop-api", "latency")], {"database_connections": jam})
    assert order(alone)[0] == ("shop-db", "database_contention")


def flag_changed(service: str = "shop-api") -> dict[str, Any]:
    suspect = {
        "id": "flags-1",
        "kind": "flag",
        "service": service,
        "at": "2026-03-01T11:59:00Z",
        "age_s": 60,
        "summary": "flag slim: targeting changed",
        "author": "",
    }
    return check("degraded", suspect=suspect)


def test_a_changed_flag_upstream_explains_what_fails_downstream() -> None:
    signals = [bad("shop-web", "errors", region) for region in ("east", "west")]
    found = diagnose(signals, {"recent_changes": flag_changed()})
    assert order(found)[0] == ("shop-api", "flag_change")
    assert found.hypotheses[0].change_id == "flags-1"


def test_a_changed_flag_without_a_symptom_below_it_explains_nothing() -> None:
    found = diagnose([bad("shop-db", "saturation")], {"recent_changes": flag_changed("shop-web")})
    flag = next(h for h in found.hypotheses if h.mechanism == "flag_change")
    assert flag.score <= 1.0


def test_a_queue_that_grows_while_nothing_fails_is_more_work_than_hands() -> None:
    found = diagnose([bad("shop-worker", "queue_age", "west")], {})
    assert order(found) == [("shop-worker", "overload")]
    assert found.hypotheses[0].region == "west"
    failing = diagnose([bad("shop-worker", "queue_age"), bad("shop-worker", "errors")], {})
    assert order(failing) == [("shop-worker", "unknown")]
