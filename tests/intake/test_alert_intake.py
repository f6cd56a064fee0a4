"""Alerts become incidents: once, durably, and visibly where nobody knows the service."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.app.intake_models import AlertmanagerModel, IntakeModel
from holdfast.incident import Kind, Phase
from holdfast.incident.system import MAINTENANCE_ADDED
from tests.intake.intake_parts import Running, Told, alert, intake
from tests.monitoring_parts import eventually


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with intake(tmp_path) as made:
        yield made


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[Running]:
    """The same without anybody who works on incidents: what is durable was written by the intake."""
    with intake(tmp_path, working=False) as made:
        yield made


def test_a_firing_alert_has_its_incident_in_the_ledger_before_it_is_answered(
    resting: Running,
) -> None:
    told = resting.fire(alert())

    assert (told.status, told.results) == (200, [("opened", "INC-1")])
    state = resting.site.state()
    assert (state.opened_by, state.services, state.regions) == ("alert", ("shop",), ("east",))
    (signal,) = state.signals.values()
    assert signal["series"] == "alert QueueStuck of shop in east (severity=critical)"
    assert (signal["state"], signal["severity"]) == ("bad", "critical")
    assert signal["starts_at"] == "2026-01-05T10:00:00.123456Z"
    assert signal["labels"]["alertname"] == "QueueStuck"
    assert signal["reason"].endswith("QueueStuck is so")


def test_the_same_alert_again_or_from_another_replica_is_known(resting: Running) -> None:
    resting.fire(alert(replica="a"))
    before = resting.site.ledger.records("INC-1")
    told = resting.fire(alert(replica="b"), alert(prometheus_replica="c"), alert())

    assert told.results == [("known", "INC-1")] * 3
    assert len({each["fingerprint"] for each in told.body["alerts"]}) == 1
    assert resting.site.ledger.records("INC-1") == before
    assert resting.site.ledger.requests("INC-1") == []


def test_an_alert_on_a_connected_service_attaches_durably(resting: Running) -> None:
    resting.fire(alert())
    told = resting.fire(alert("Slow", service="stock"))

    assert told.results == [("attached", "INC-1")]
    (request,) = resting.site.ledger.requests("INC-1")
    assert request.data["signals"][0]["labels"]["alertname"] == "Slow"
    resting.site.start()
    resting.site.seen.until(resting.site.seen.has(Kind.SIGNAL_ATTACHED))
    assert len(resting.site.state().signals) == 2


def test_many_at_once_open_one_incident_for_each_group_of_services(resting: Running) -> None:
    alerts = [alert("Slow", service=name) for name in ("shop", "stock", "mail")]
    posts = [threading.Thread(target=resting.fire, args=alerts) for _ in range(4)]
    for post in posts:
        post.start()
    for post in posts:
        post.join(10)

    assert resting.site.ledger.incident_ids() == ["INC-1", "INC-2"]
    assert {resting.site.state(one).services for one in ("INC-1", "INC-2")} == {
        ("shop", "stock"),
        ("mail",),
    }


def test_resolved_is_evidence_and_ends_nothing_and_what_fires_again_is_bad_again(
    running: Running,
) -> None:
    seen = running.site.seen
    running.fire(alert())
    assert running.fire(alert(status="resolved")).results == [("resolved_noted", "INC-1")]
    assert not running.site.state().ended
    running.site.seen.until(seen.has(Kind.HELD))
    state = running.site.state()
    (signal,) = state.signals.values()
    assert (signal["state"], state.phase) == ("returned", Phase.DIAGNOSING)

    assert running.fire(alert(status="resolved")).results == [("ignored", None)]
    again = alert(starts="2026-01-05T11:00:00Z")
    assert running.fire(again).results == [("attached", "INC-1")]
    assert [s["state"] for s in running.site.state().signals.values()] == ["bad"]


def test_a_late_resolved_of_an_earlier_occurrence_says_nothing_of_this_one(
    running: Running,
) -> None:
    running.fire(alert(starts="2026-01-05T11:00:00Z"))

    assert running.fire(alert(status="resolved")).results == [("ignored", None)]
    assert [s["state"] for s in running.site.state().signals.values()] == ["bad"]


def test_one_of_two_instances_that_resolves_leaves_the_other_firing(running: Running) -> None:
    one, other = alert(instance="a:9100"), alert(instance="b:9100")
    running.fire(one, other)
    running.fire(one | {"status": "resolved"}, other)

    states = {s["labels"]["instance"]: s["state"] for s in running.site.state().signals.values()}
    assert states == {"a:9100": "returned", "b:9100": "bad"}


def test_an_alert_that_resolves_unheard_of_opens_nothing(resting: Running) -> None:
    told = resting.fire(alert(status="resolved"))

    assert (told.status, told.results) == (200, [("ignored", None)])
    assert "no open incident has this alert" in told.body["alerts"][0]["why"]
    assert resting.site.ledger.incident_ids() == []


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "who-knows"}, "who-knows"),
        ({"service": "", "job": "", "app": ""}, "unnamed (QueueStuck)"),
    ],
)
def test_an_alert_of_a_service_that_nobody_knows_is_held_for_a_person(
    labels: dict[str, str], service: str, running: Running
) -> None:
    assert running.fire(alert(**labels)).results == [("opened", "INC-1")]
    running.site.seen.until(running.site.seen.has(Kind.HELD))
    state = running.site.state()

    assert (state.services, state.steps) == ((service,), ())
    assert state.held is not None


def test_labels_find_the_service_and_the_region_as_the_configuration_says(tmp_path: Path) -> None:
    rules = IntakeModel(
        replica_labels=["pod"],
        alertmanager=AlertmanagerModel(
            service_labels=["team", "app"],
            region_labels=["zone"],
            services={"web": "shop"},
            types={"Slow": "high_latency"},
            ignore=["Noise"],
        ),
    )
    with intake(tmp_path, working=False, rules=rules) as made:
        told = made.fire(
            alert("Slow", team="nobody", app="web", zone="west", pod="x"), alert("Noise")
        )
        (signal,) = made.site.state().signals.values()

    assert told.results == [("opened", "INC-1"), ("ignored", None)]
    assert (signal["service"], signal["region"]) == ("shop", "west")
    assert signal["incident_type"] == "high_latency"
    assert "pod" not in signal["labels"]


def test_a_region_of_no_name_is_every_region_of_the_service(resting: Running) -> None:
    resting.fire(alert(region="elsewhere"))

    assert resting.site.state().regions == ("east", "west")
    assert [s["region"] for s in resting.site.state().signals.values()] == ["global"]


def test_text_of_an_alert_is_data(resting: Running) -> None:
    nasty = alert(
        "Bad\x1b[31m\u202ename", password="password=hunter2", **{f"l{n}": "x" for n in range(80)}
    )
    nasty["annotations"] = {"summary": "token=abcdefgh\n\x07" + "y" * 5000, "x\x00y": "{{ .Evil }}"}
    told = resting.fire(nasty)
    (signal,) = resting.site.state().signals.values()
    written = str(resting.site.ledger.records("INC-1")[0].data)

    assert told.results == [("opened", "INC-1")]
    assert "hunter2" not in written
    assert "abcdefgh" not in written
    assert all(c.isprintable() for c in written)
    assert signal["labels"]["alertname"] == "Bad [31mname"
    assert len(signal["labels"]) == 64
    assert max(map(len, signal["annotations"].values())) <= 2000
    assert signal["annotations"]["x y"] == "{{ .Evil }}"


def test_an_incident_takes_in_so_many_alerts_and_says_when_it_takes_no_more(
    resting: Running,
) -> None:
    told = resting.fire(*(alert(instance=f"i-{n}") for n in range(205)))

    results = [result for result, _ in told.results]
    assert (results.count("opened"), results.count("ignored")) == (200, 5)
    assert "so many alerts" in next(a["why"] for a in told.body["alerts"] if "why" in a)
    assert len(resting.site.state().signals) == 200


def test_what_its_incident_could_not_take_in_any_more_opens_another(resting: Running) -> None:
    """It is dismissed after the alert was placed on it, before it takes it in."""
    resting.desk.taken_in_within_s = 10.0
    resting.fire(alert())
    resting.site.submit("dismiss", because="it is a drill", reason="false_alarm")
    told: list[Told] = []
    late = threading.Thread(target=lambda: told.append(resting.fire(alert("Slow"))))
    late.start()
    eventually(lambda: len(resting.site.ledger.requests("INC-1")) == 2, "the alert is placed")
    resting.site.start()
    late.join(10)

    assert told[0].results == [("opened", "INC-2")]
    assert resting.site.state().ended


def test_an_alert_inside_a_maintenance_window_opens_nothing_and_is_told_why(
    resting: Running,
) -> None:
    clock = resting.site.clock
    window = {
        "window_id": "M1", "scope": "shop", "because": "upgrade",
        "starts_at": "2000-01-01T00:00:00Z", "ends_at": "2999-01-01T00:00:00Z",
    }  # fmt: skip
    resting.site.ledger.append_system(MAINTENANCE_ADDED, window, resting.site.dana(), clock.now())
    told = resting.fire(alert())

    assert told.results == [("ignored", None)]
    assert "suppressed by maintenance" in told.body["alerts"][0]["why"]
    assert resting.site.ledger.incident_ids() == []


def test_what_became_of_alerts_is_counted(resting: Running) -> None:
    resting.fire(alert(), alert("Watchdog"))
    resting.fire(alert())
    page = resting.counts.exposition().decode()

    for result in ("opened", "known", "ignored"):
        assert f'holdfast_intake_alerts_total{{result="{result}"}} 1.0' in page
