import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.escalation import packet, packet_markdown
from holdfast.escalation.next_step import KINDS, RULES

VIEW: dict[str, Any] = {
    "incident_id": "i-1",
    "title": "errors of shop in two regions",
    "phase": "verifying",
    "held": {"why": "restart_service is in doubt", "since": "2030-01-01T12:01:00Z"},
    "escalated": {"level": 1, "why": "restart_service is in doubt", "to": "dana"},
    "acknowledged": None,
    "waiting_for": ["settlement"],
    "incident_type": "service_down",
    "severity": "critical",
    "mode": "autonomous",
    "owner": None,
    "services": ["shop"],
    "regions": ["east", "west"],
    "root_entity": "shop",
    "opened_at": "2030-01-01T12:00:03Z",
    "started_at": "2030-01-01T12:00:00Z",
    "signal_list": [
        {"series": "up of shop in east", "reason": "up of shop in east at 0", "at": "2030-01-01T12:00:01Z"}
    ],
    "checks": {
        "service_status": {"status": "down", "summary": "shop@east is FATAL", "at": "2030-01-01T12:00:05Z"},
        "disk_usage": {"status": "healthy", "summary": "41 % used", "at": "2030-01-01T12:00:05Z"},
        "redis_health": {"status": "unknown", "summary": "password=hunter2 refused"},
    },
    "hypotheses": [
        {
            "rank": 1,
            "entity": "shop",
            "region": "east",
            "mechanism": "process_down",
            "text": "shop@east is FATAL",
            "confidence": "likely",
            "supports": ["E1", "E2"],
            "contradicts": [],
            "expected_but_missing": [],
            "next_check": "the last lines of its log",
        },
        {"rank": 2, "entity": "store", "mechanism": "unknown", "confidence": "unclear", "supports": ["E3"], "contradicts": ["E4"]},
    ],
    "evidence": [{"id": "E1", "class": "local_cause", "text": "shop@east is FATAL", "source": "check service_status"}],
    "missing_context": ["logs and traces are not read by this version"],
    "steps": [
        {"step_id": "s1", "action": "restart_service", "target": "shop@east", "attempt": 1, "status": "unverified", "standing": "completed",
         "outcome": {"summary": "started with pid 7"}, "verification": {"sentence": "not recovered by the deadline"}, "undo": "stop it"},
        {"step_id": "s2", "action": "restart_service", "target": "shop@east", "attempt": 2, "status": "in_doubt", "standing": "in_doubt"},
        {"step_id": "s3", "action": "scale_up", "target": "shop", "status": "blocked", "standing": "blocked",
         "verdict": {"reasons": [{"ok": False, "text": "too many instances"}, {"ok": True, "text": "fine"}]}},
        {"step_id": "s4", "action": "failover_db", "target": "store", "status": "awaiting_approval", "standing": "pending", "hash": "abcdef", "approval_expires_at": "2030-01-01T12:15:00Z"},
    ],
    "runbooks": [{"runbook": "high-latency", "why_not": ["it has no executable step"]}, {"runbook": "rollback", "why_not": ["no suspect"]}],
    "limits_used": {"restart_service on shop@east": 2},
    "at": "2030-01-01T12:02:00Z",
    "commander": "dana",
    "charter": {"objective": "it works", "allowed": [{"action": "scale_up", "targets": ["shop"]}], "expires_at": "2030-01-01T14:00:00Z", "by": "dana"},
    "handoff": {"to": "team", "by": "dana", "because": "theirs", "at": "2030-01-01T12:02:00Z", "expires_at": "2030-01-01T12:07:00Z"},
    "directive": {"action": "scale_up", "target": "shop", "by": "dana", "because": "more room"},
    "manual": [{"action": "restart_service", "target": "shop@west", "by": "kim", "at": "2030-01-01T12:01:30Z", "because": "stuck"}],
    "planes": {"shop@east": {"at": "2030-01-01T12:02:00Z", "planes": [{"plane": "supervisord shop@east", "now": "RUNNING", "intended": "RUNNING", "reached": True}]}},
    "standing_boundaries": [{"action": "failover_db", "target": "store", "authority": "team", "why": "theirs", "source": "standing"}],
    "authorities": {"team": ["erin"]},
    "timers": [{"what": "the handoff escalates", "at": "2030-01-01T12:07:00Z", "left_s": 300.0}],
    "regional_health": [{"service": "shop", "region": "east", "signal": "up", "value": 0.0, "at": "2030-01-01T12:02:00Z", "low": None, "high": None, "status": "out_of_range", "from": "read"}],
    "successor": {"who": "team", "why": "it is handed to them", "contacts": [{"name": "Team", "role": "dba", "by": ["webhook"], "members": ["erin"]}]},
    "timeline": [{"seq": n, "at": f"2030-01-01T12:00:{n:02d}Z", "kind": "note", "text": f"line {n}"} for n in range(1, 31)],
    "seq": 30,
    "head_hash": "f00d",
}  # fmt: skip


def test_facts_and_inferences_are_kept_apart_and_inferences_cite_evidence() -> None:
    made = packet(VIEW)

    assert [fact["text"] for fact in made["facts"]] == [
        "up of shop in east at 0",
        "service_status is down: shop@east is FATAL",
    ]
    assert [each["supports"] for each in made["inferences"]] == [["E1", "E2"], ["E3"]]
    assert made["evidence"][0]["id"] == "E1"
    assert {check["name"] for check in made["checks"]} == set(VIEW["checks"])


def test_steps_are_listed_by_their_standing_and_say_why() -> None:
    made = packet(VIEW)

    assert {standing: [s["step_id"] for s in found] for standing, found in made["steps"].items()} == {
        "completed": ["s1"],
        "in_doubt": ["s2"],
        "pending": ["s4"],
        "blocked": ["s3"],
        "skipped": [],
        "reversed": [],
        "not_applied": [],
    }  # fmt: skip
    assert made["blocked_next"] == [
        {"step_id": "s3", "action": "scale_up", "target": "shop", "why": ["too many instances"], "authority": None}
    ]  # fmt: skip


def test_what_must_be_left_alone_is_said_before_anything_is_suggested() -> None:
    text = packet_markdown(packet(VIEW))

    assert "shop@east: nobody knows whether restart_service (s2) took effect" in text
    assert text.index("## Why you") < text.index("## Do not repeat") < text.index("## What to do")


def test_a_status_that_a_newer_version_wrote_counts_as_in_doubt() -> None:
    steps = [{"step_id": "s9", "action": "a", "target": "t", "status": "quantum"}]
    assert packet({**VIEW, "steps": steps})["steps"]["in_doubt"][0]["step_id"] == "s9"


def test_suggestions_are_commands_to_copy_and_places_to_look() -> None:
    suggested = packet({**VIEW, "handoff": None})["next"]

    assert suggested[0].startswith("holdfast settle i-1 s2 happened|not-happened --evidence TEXT")
    assert suggested[1].startswith("holdfast approve i-1 s4 --hash abcdef --because TEXT")
    assert "check shop: the last lines of its log" in suggested
    assert "follow runbook high-latency by hand: holdfast runbook show high-latency" in suggested
    assert "holdfast incident ack i-1" in suggested
    assert not any("rollback" in text for text in suggested)


def test_an_incident_that_is_over_suggests_nothing() -> None:
    assert packet({**VIEW, "phase": "resolved"})["next"] == []


def test_a_check_that_could_not_look_is_missing_context_once_and_redacted() -> None:
    told = "check redis_health gave no reading: refused"

    assert (
        "check redis_health could not look: password=[redacted] refused"
        in (packet(VIEW)["missing_context"])
    )
    assert packet({**VIEW, "missing_context": [told]})["missing_context"] == [told]


def test_the_same_reason_is_given_once() -> None:
    assert packet(VIEW)["why"] == ["held: restart_service is in doubt"]


def test_the_packet_ends_with_the_tail_of_the_timeline_and_the_ledger_s_head() -> None:
    made = packet(VIEW)

    assert [entry["seq"] for entry in made["timeline"]] == list(range(16, 31))
    assert made["ledger"] == {"seq": 30, "head_hash": "f00d"}
    assert packet_markdown(made).rstrip().endswith("record 30, head `f00d`")


def test_nothing_at_all_still_makes_a_packet_that_names_what_is_missing() -> None:
    made = packet({})
    text = packet_markdown(made)

    assert made["title"] == "untitled incident"
    assert "no hypothesis was ranked: the cause is open" in made["missing_context"]
    assert "nothing: the cause is open" in text
    assert "none: nothing was changed" in text


def test_a_packet_is_plain_json() -> None:
    assert json.loads(json.dumps(packet(VIEW), allow_nan=False)) == packet(VIEW)


@pytest.mark.parametrize(
    "title", ["<script>alert(1)</script>", "[click](http://x)", "a\n# b", "\u202eabc", "**bold**"]
)
def test_text_from_outside_stays_text(title: str) -> None:
    html = MarkdownIt("commonmark").render(packet_markdown(packet({**VIEW, "title": title})))
    heading = html.splitlines()[0]

    assert heading.startswith("<h1>i-1: ")
    assert not any(tag in heading for tag in ("<script", "<a ", "<strong>", "\u202e"))


def test_criteria_and_commands_are_fit_to_copy() -> None:
    why = 'errors{service="shop"} <= baseline * 1.2 + 0.02 for 6s; rollback_deploy'
    assert why in packet_markdown(packet({**VIEW, "held": {"why": why}}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(VIEW)), json_values))
def test_whatever_a_view_holds_a_packet_is_made(view: dict[str, Any]) -> None:
    assert packet_markdown(packet(view)).startswith("# ")


def test_every_field_and_every_rule_is_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/takeover-packet.md").read_text()
    made = packet(VIEW)
    _, _, told = page.partition("## The next safe step")
    kinds = re.findall(r"^\| .+ \| `(\w+)` \|", told, re.MULTILINE)[1:]  # below the heading

    assert not [name for name in made if f"`{name}`" not in page]
    assert not [name for name in made["steps"]["completed"][0] if f"`{name}`" not in page]
    assert len(kinds) == len(RULES)
    assert set(kinds) == set(KINDS)
