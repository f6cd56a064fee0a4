"""The picture fits every terminal, shows what happened, and steers none."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from holdfast.sandbox.blueprint import default_blueprint
from holdfast.sandbox.ending import report
from holdfast.sandbox.exposed import Reading, parse_exposition
from holdfast.sandbox.grade import grade
from holdfast.sandbox.scenario import Plan
from holdfast.sandbox.scenarios import BY_NAME
from holdfast.sandbox.scene import Scene, broken, folded
from holdfast.sandbox.view import View
from tests.sandbox.run_facts import API, at, bad_deploy

REASONS = [{"ok": True, "text": "no freeze covers this step"}, {"ok": True, "text": "granted"}]
STEP: dict[str, Any] = {
    "step_id": "S1",
    "action": "rollback_deploy",
    "target": API,
    "status": "succeeded",
    "verdict": {"decision": "allow", "reasons": REASONS},
    "verification": None,
    "criteria": ["errors <= baseline for 6s in each region"],
}
SHOWN: dict[str, Any] = {
    "incident_id": "INC-1",
    "phase": "verifying",
    "incident_type": "high_error_rate",
    "held": None,
    "checks": {"http_health": {"status": "healthy", "summary": "all answer"}},
    "hypotheses": [
        {
            "rank": 1,
            "entity": API,
            "region": None,
            "mechanism": "release",
            "confidence": "likely",
            "supports": ["E1", "E2"],
            "contradicts": [],
            "text": "v8 was deployed",
        }
    ],
    "steps": [STEP],
}


def record(seq: int, kind: str, text: str, seconds: float) -> dict[str, Any]:
    named = {"event": "record", "incident_id": "INC-1", "actor": "holdfast"}
    return {**named, "seq": seq, "kind": kind, "text": text, "at": at(seconds)}


def anomaly(service: str, region: str, signal: str) -> dict[str, Any]:
    return {"service": service, "region": region, "signal": signal, "severity": "critical"}


def tick(*anomalies: dict[str, Any]) -> dict[str, Any]:
    data = {"event": "tick", "warm": 31, "series": 31, "bare_rule": bool(anomalies)}
    return {**data, "anomalies": list(anomalies)}


def injected() -> dict[str, Any]:
    detail = {"version": "v8", "previous_version": "v7"}
    told = {"event": "injected", "fault": "bad-deploy", "title": "fails a third", "at": at(0)}
    return {**told, "entity": API, "region": None, "detail": detail}


def scene_after(*events: dict[str, Any]) -> Scene:
    scene = Scene(plan=Plan(scenario=BY_NAME["bad-deploy"]), shape=default_blueprint(), began_s=0.0)
    for number, event in enumerate(events):
        scene.take(event, float(number))
    return scene


def whole_scene() -> Scene:
    scene = scene_after(
        {"event": "stage", "part": "platform", "state": "done", "took_s": 2.1},
        {"event": "stage", "part": "incident", "state": "begins"},
        injected(),
        tick(anomaly(API, "eu-west", "errors")),
        record(1, "incident_opened", "opened (critical): errors out of range", 2.1),
        record(2, "step_finished", "S1 succeeded: moved from v8 to v7", 2.3),
    )
    shape = scene.shape
    for second in range(25):
        scene.saw(
            (
                Reading(service=shape.api, region="eu-west", up=True, errors=0.3, traffic=12.0),
                Reading(service=shape.worker, region="us-east", up=second < 20),
                Reading(service=shape.database, region="global", up=True, traffic=50.0),
            )
        )
    scene.look(SHOWN)
    return scene


def drawn(scene: Scene, width: int = 120, height: int = 40, *, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=color,
        color_system="standard" if color else None,
    )
    console.print(View(scene, lambda: 9.0), height=height)
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 72, 80, 112, 120, 200])
@pytest.mark.parametrize("height", [8, 24, 40, 400])
@pytest.mark.parametrize("empty", [True, False])
def test_no_line_is_wider_than_the_terminal_and_no_picture_higher(
    width: int, height: int, *, empty: bool
) -> None:
    lines = drawn(scene_after() if empty else whole_scene(), width, height).splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) <= max(height, 40)


@pytest.mark.parametrize("width", [80, 120])
def test_everything_that_was_decided_is_in_the_picture(width: int) -> None:
    told = drawn(whole_scene(), width, 50)
    for words in (
        "BROKEN",
        "v7 → v8",
        "DOWN",
        "30.0 %",
        "1. checkout-api: release",
        "for it 2, against 0",
        "rollback_deploy on checkout-api",
        "guard: allow (2 for, 0 against)",
        "verifying: 4 s of fresh readings",
        "INC-1 #2",
        "http_health",
    ):
        assert words in told, words


def test_an_anomaly_is_highlighted_while_it_is_fresh() -> None:
    scene = whole_scene()
    fresh = drawn(scene, color=True)
    for _ in range(3):
        scene.take(tick(), 9.0)
    assert re.search(r"\x1b\[1;37;41m +30.0 %", fresh)
    assert not re.search(r"\x1b\[1;37;41m +30.0 %", drawn(scene, color=True))


@pytest.mark.parametrize(
    ("kind", "word"), [("resolved", "RECOVERED"), ("held", "HANDED OVER"), ("dismissed", "DISM")]
)
def test_the_red_line_ends_with_the_incident(kind: str, word: str) -> None:
    scene = whole_scene()
    scene.take(record(3, kind, "why", 12.0), 12.0)
    told = drawn(scene)
    assert word in told
    assert "12.0 s after" in told
    assert "BROKEN" not in told


def test_what_a_record_says_is_text_and_never_markup_or_a_command_to_the_terminal() -> None:
    scene = scene_after(injected(), record(1, "note", "[bold]x[/bold] \x1b[2J end", 1.0))
    told = drawn(scene)
    assert "[bold]x[/bold]" in told
    assert "\x1b" not in told


def test_an_old_terminal_without_unicode_gets_plain_characters() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    scene = whole_scene()
    scene.lines[:] = scene.lines[1:]  # the fault's own line has an arrow
    scene.injected_s = None
    Console(file=out, width=60, height=40).print(View(scene, lambda: 9.0), height=40)
    out.flush()
    assert b"-- timeline ---" in raw.getvalue()


def test_the_end_tells_the_times_the_ledger_the_postmortem_and_what_next() -> None:
    document = grade(bad_deploy(timings={"platform": 2.1})) | {"postmortem": "/p/postmortem.md"}
    told = "\n".join(report(document, whole_scene(), took_s=50.0, keep=None, program="holdfast"))
    for words in (
        "time to detect   3.0 s",
        "time to recover  12.0 s",
        "verified: 9 records",
        "/p/postmortem.md",
        "platform 2.1 s, 50.0 s in all",
        "holdfast demo service-down",
    ):
        assert words in told


def test_the_end_says_every_reason_why_it_did_not_go_as_it_should() -> None:
    document = grade(bad_deploy(pages=2, incidents=()))
    told = "\n".join(report(document, whole_scene(), took_s=1.0, keep=None, program="holdfast"))
    assert told.count("NOT PASSED") == len(document["why_not"]) > 1


@pytest.mark.parametrize("width", [40, 80])
def test_the_end_is_wrapped_under_its_own_words_and_no_command_is_broken(width: int) -> None:
    document = grade(bad_deploy()) | {"postmortem": "/p/" + "x" * 60}
    told = "\n".join(
        report(document, whole_scene(), took_s=5.0, keep=None, program="holdfast", width=width)
    )
    long = [line for line in told.splitlines() if len(line) > width]
    assert [line.strip() for line in long] == ["/p/" + "x" * 60]
    assert "holdfast gameday" in told


def test_samples_of_one_name_are_summed_and_what_is_no_number_is_left_out() -> None:
    page = '# HELP a b\na_total{code="2 0"} 1\na_total{code="5"} 2.5\nb NaN\nc x\n\nd 4 123\n'
    assert parse_exposition(page) == {"a_total": 3.5, "d": 4.0}


def test_signals_that_come_back_at_one_moment_are_told_in_few_lines() -> None:
    back = "recovery evidence: errors of x in y is back"
    events = [record(n, "signal_attached", back, 5.0) for n in range(3, 15)]
    scene = scene_after(injected(), record(2, "incident_opened", "opened", 2.0), *events)
    lines = folded([*scene.lines])
    assert [line.kind for line in lines].count("signal_attached") == 4
    assert lines[-1].text == "recovery evidence: 9 more series"
    assert len(scene.lines) == 14


def test_every_fault_says_what_was_broken_and_where() -> None:
    for scenario in BY_NAME.values():
        if scenario.fault in {"bad-deploy", "novel"}:
            continue
        event = {"event": "injected", "fault": scenario.fault, "title": scenario.title}
        said = broken({**event, "at": at(0), "entity": API, "region": "eu-west", "detail": {}})
        assert said.endswith(scenario.title)
        assert API in said
        assert ("surge" in said) == (scenario.name == "healthy")
