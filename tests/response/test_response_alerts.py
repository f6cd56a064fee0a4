"""Alerts among the signals: firing is present, resolved is evidence, silence is neither."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.diagnosis import SymptomReading, SymptomStatus, gather, read_symptom
from holdfast.incident import State, fold
from holdfast.kernel import SignalKey, format_at
from holdfast.response.signals import alert_labels, is_news, judged_by, news, symptom_series
from holdfast.runbooks import match, parse
from tests.runbooks.runbook_texts import STEP, runbook_text
from tests.scene import START, Scene, opened, signal

STALE_S = 360.0
CALM, OUT = (0.01, 0.01, 0.01, 0.01), (0.3, 0.3, 0.3, 0.3)
ERRORS = SignalKey("shop-api", "east", "errors")
NORMAL = {"service": "shop-api", "region": "east", "signal": "errors", "low": 0.0, "high": 0.02}


def alert(
    state: str = "bad", *, age_s: float = 0.0, name: str = "Slow", **more: object
) -> dict[str, Any]:
    return {
        "series": f"alert {name} of shop-api in east",
        "service": "shop-api",
        "region": "east",
        "signal": "alert",
        "state": state,
        "severity": "warning",
        "at": format_at(START - timedelta(seconds=age_s)),
        "starts_at": format_at(START - timedelta(hours=1)),
        "stale_after_s": STALE_S,
        "reason": f"alert {name} is {state}",
        "labels": {"alertname": name, "severity": "warning"},
        **more,
    }


def incident(*signals: dict[str, Any], baselines: Any = None) -> State:  # noqa: ANN401
    scene = Scene()
    opened(scene, signals=list(signals), baselines=baselines or {})
    return fold(scene.records, "INC-1")


def status(state: State, *values: float) -> SymptomStatus:
    """Judge as decide() does, with these samples of every series that it asks for."""
    samples = [(START - timedelta(seconds=n), v) for n, v in enumerate(reversed(values))][::-1]
    readings = [
        SymptomReading(series=str(key), signal=key.signal, samples=samples)
        for key in symptom_series(state)
    ]
    return read_symptom(readings, judged_by(state), now=START, window_s=10).status


@pytest.mark.parametrize(
    ("signals", "values", "expected"),
    [
        ([alert()], (), SymptomStatus.PRESENT),
        ([alert(age_s=STALE_S)], (), SymptomStatus.PRESENT),
        ([alert(age_s=STALE_S + 1)], (), SymptomStatus.UNCLEAR),
        ([alert("returned")], (), SymptomStatus.UNCLEAR),
        ([alert("returned"), alert(name="Down")], (), SymptomStatus.PRESENT),
        # with metrics of the service beside it
        ([alert()], CALM, SymptomStatus.PRESENT),
        ([alert("returned", age_s=10)], CALM, SymptomStatus.ABSENT),
        ([alert("returned", age_s=9)], CALM, SymptomStatus.UNCLEAR),
        (
            [alert("returned", age_s=10), alert("returned", name="Down")],
            CALM,
            SymptomStatus.UNCLEAR,
        ),
        ([alert("returned")], OUT, SymptomStatus.PRESENT),
        ([alert("returned", age_s=10)], CALM[:2], SymptomStatus.UNCLEAR),
        ([alert(age_s=STALE_S + 1)], CALM, SymptomStatus.UNCLEAR),
        ([alert(age_s=STALE_S + 1)], OUT, SymptomStatus.PRESENT),
    ],
)
def test_a_fresh_word_that_it_fires_counts_and_nothing_that_an_alert_says_is_recovery(
    signals: list[dict[str, Any]], values: tuple[float, ...], expected: SymptomStatus
) -> None:
    state = incident(*signals, baselines={str(ERRORS): NORMAL} if values else None)

    assert status(state, *values) is expected


def test_an_alert_of_no_region_is_judged_by_its_service_wherever_it_runs() -> None:
    west = ERRORS._replace(region="west")
    other = SignalKey("mail", "east", "errors")
    baselines = {
        str(key): {**NORMAL, "service": key.service, "region": key.region}
        for key in (ERRORS, west, other)
    }

    assert symptom_series(incident(alert(), baselines=baselines)) == (ERRORS,)
    everywhere = incident(alert(region="global"), baselines=baselines)
    assert set(symptom_series(everywhere)) == {ERRORS, west}


def test_what_is_measured_of_a_service_is_enough_beside_its_alerts() -> None:
    latency = SignalKey("shop-api", "east", "latency")
    baselines = {str(key): {**NORMAL, "signal": key.signal} for key in (ERRORS, latency)}

    assert symptom_series(incident(signal(), alert(), baselines=baselines)) == (ERRORS,)


@pytest.mark.parametrize(
    ("known", "told", "answer"),
    [
        ("bad", {}, "known"),
        ("bad", {"state": "returned"}, "news"),
        ("bad", {"severity": "critical"}, "news"),
        ("bad", {"starts_at": format_at(START)}, "news"),
        ("bad", {"state": "returned", "starts_at": format_at(START - timedelta(days=1))}, "known"),
        ("bad", {"at": format_at(START + timedelta(seconds=STALE_S / 2 - 1))}, "known"),
        ("bad", {"at": format_at(START + timedelta(seconds=STALE_S / 2))}, "news"),
        ("returned", {"state": "returned"}, "known"),
        ("returned", {}, "news"),
    ],
)
def test_a_repetition_is_no_news_before_the_last_word_grows_old(
    known: str, told: dict[str, Any], answer: str
) -> None:
    assert is_news(incident(alert(known)), {**alert(), **told}) is (answer == "news")


def test_an_alert_brings_the_normal_ranges_of_its_service_with_it() -> None:
    other = {**NORMAL, "service": "mail"}
    (draft,) = news(incident(signal("west")), [alert()], {str(ERRORS): NORMAL, "x": other})

    assert draft.data["baselines"] == {str(ERRORS): NORMAL}


def test_one_alert_has_to_have_all_the_labels_that_a_runbook_asks_for() -> None:
    def best(*alerts: dict[str, Any]) -> str | None:
        labels = {"service": "shop-api", "region": ""}
        found = match([book], "unknown", labels, {}, (), alerts=alert_labels(incident(*alerts)))
        return found.best.name if found.best else None

    front = "name: b\nowner: a\nmatch: {labels: {alertname: Slow, severity: critical}}"
    book = parse(runbook_text(front=front, step=STEP), "b.md")
    critical = {"alertname": "Slow", "severity": "critical"}
    other = {"alertname": "Down", "severity": "critical"}

    assert best(alert(labels=critical)) == "b"
    assert best(alert(), alert(name="Down", labels=other)) is None
    assert best(alert("returned", labels=critical)) is None
    assert best(alert(name="Down", labels=other), alert(labels=critical)) == "b"


def test_a_firing_alert_is_evidence_of_its_service() -> None:
    (piece,) = gather([alert(), alert("returned", name="Down")], {}, {})

    assert (piece.kind, piece.entity, piece.source, piece.cls) == (
        "alert",
        "shop-api",
        "alert",
        "symptom",
    )


def test_a_change_that_was_told_is_evidence_where_no_check_has_a_reading() -> None:
    flag = {
        "id": "c-1", "at": format_at(START), "kind": "flag", "service": "shop-api",
        "summary": "new-prices is on", "author": "", "source": "told",
    }  # fmt: skip
    deploy = flag | {"id": "c-2", "kind": "deploy", "version": "2.4"}
    seen = {"recent_deployments": {"status": "healthy", "suspect": None}}

    found = gather([], seen, {}, [flag, deploy])
    assert [(e.change_id, e.kind, e.source) for e in found] == [("c-1", "flag", "change intake")]
    assert "new-prices is on (flag)" in found[0].text
    assert "nobody named" in found[0].text
    both = gather([], {}, {}, [flag, deploy])
    assert "shop-api 2.4 was deployed" in both[1].text
    assert replace(both[0], id="E1") == found[0]
