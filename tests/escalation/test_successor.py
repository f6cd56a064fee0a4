"""A successor who has the packet alone: they name the next safe step and what not to repeat.

`Successor` is written from the packet's documented fields and nothing else: it does not look at
`next_safe_step`, and knows neither the ledger nor the code that made the packet.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.escalation import packet, packet_markdown
from holdfast.incident import Kind, State, evolve
from holdfast.policy import Boundary
from holdfast.response.viewing import packet_view
from tests.commanded_scene import chartered, directed, handed, looked, refused
from tests.response.response_world import world
from tests.scene import DANA, Scene, finished, intended, proposed, reason, up_to_plan, verified

Json = Mapping[str, Any]
HALF = [
    {"plane": "shop-api in east", "now": "2.3.9", "intended": "2.3.9", "reached": True},
    {"plane": "shop-api in west", "now": "2.4.0", "intended": "2.3.9", "reached": False},
]


def begun() -> Scene:
    scene = Scene()
    up_to_plan(scene)
    chartered(scene)
    nobody_chooses: dict[str, Any] = {
        "runbook": "directed",
        "steps": [],
        "version": "-",
        "mode": None,
    }
    scene.add(Kind.PLAN_CHOSEN, {**nobody_chooses, "title": "directed by dana", "why": "a person"})
    return scene


def attempted(**more: Any) -> Scene:  # noqa: ANN401 - any field of the proposal
    scene = begun()
    directed(scene)
    proposed(scene, actor=DANA, plan_index=None, **more)
    intended(scene)
    return scene


def in_doubt() -> Scene:
    scene = attempted()
    scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S1", "why": "no answer within 10 s"})
    return scene


def in_doubt_and_handed() -> Scene:
    scene = in_doubt()
    handed(scene)
    return scene


def done(status: str = "met", *, more_to_do: bool = True) -> Scene:
    scene = attempted()
    finished(scene)
    verified(scene, status=status, more_to_do=more_to_do)
    return scene


def half_done() -> Scene:
    scene = done()
    looked(scene, planes=HALF, partly=True)
    return scene


def contradicting() -> Scene:
    scene = done("contradiction", more_to_do=False)
    scene.add(Kind.HELD, {"why": "the regions contradict each other"})
    return scene


def stale() -> Scene:
    scene = begun()
    directed(scene)
    proposed(scene, actor=DANA, plan_index=None)
    old = reason("errors in east was read 40 s ago", ok=False, rule="live state")
    refused(scene, "S1", old)
    return scene


def waiting_for_approval() -> Scene:
    scene = begun()
    directed(scene)
    proposed(scene, actor=DANA, plan_index=None, impact="high")
    until = (scene.now + timedelta(minutes=15)).isoformat()
    theirs = reason("it belongs to team", ok=False, rule="boundary", source="team")
    verdict = {"decision": "needs_approval", "reasons": [theirs]}
    data = {
        "step_id": "S1",
        "hash": "5f" * 32,
        "expires_at": until,
        "why": "high",
        "verdict": verdict,
    }
    scene.add(Kind.APPROVAL_REQUESTED, data)
    return scene


def across_a_boundary() -> Scene:
    scene = begun()
    directed(scene, "failover_db", "shop-db")
    proposed(scene, actor=DANA, plan_index=None, action="failover_db", target="shop-db")
    refused(scene, "S1", reason("it belongs to team", ok=False, rule="boundary", source="team"))
    return scene


def outside_the_charter() -> Scene:
    scene = begun()
    directed(scene, "restart_service", "shop-api")
    proposed(scene, actor=DANA, plan_index=None, action="restart_service")
    refused(scene, "S1", reason("it is outside the charter", ok=False, rule="charter"))
    return scene


def silent() -> Scene:
    scene = done()
    why = "dana has said nothing for 10 min"
    scene.add(Kind.HELD, {"why": why})
    scene.add(Kind.ESCALATED, {"level": 1, "why": why, "since": "-", "asks": "takeover"})
    return scene


def by_hand() -> Scene:
    scene = begun()
    deed = {"action": "restart_service", "target": "shop-api@east", "because": "faster by hand"}
    scene.add(Kind.MANUAL_ACTION_REPORTED, {**deed, "observed": {"state": "RUNNING"}}, actor=DANA)
    return scene


def held_by_somebody() -> Scene:
    scene = done()
    scene.add(Kind.HELD, {"why": "dana: wait for the vendor"}, actor=DANA)
    return scene


def resolved() -> Scene:
    scene = done(more_to_do=False)
    scene.add(Kind.RESOLVED, {"why": "every series is normal", "by_step": "S1"})
    return scene


# The situation, whether readings are bad now, the kind of the next step, what it is about, and what
# must not be done again.
DONE = ("rollback_deploy", "shop-api")
ROWS: tuple[tuple[Callable[[], Scene], bool, str, list[str], list[tuple[str, str]]], ...] = (
    (in_doubt, True, "settle", ["shop-api"], [DONE]),
    (in_doubt_and_handed, True, "accept", [], [DONE]),
    (half_done, True, "look", ["shop-api"], [DONE]),
    (contradicting, True, "look", ["shop-api"], [DONE]),
    (stale, True, "look", ["shop-api"], []),
    (waiting_for_approval, True, "approve", ["shop-api"], []),
    (across_a_boundary, True, "ask", ["shop-db"], []),
    (outside_the_charter, True, "ask", ["shop-api"], []),
    (silent, True, "accept", [], [DONE]),
    (by_hand, True, "direct", ["shop-api"], [("restart_service", "shop-api@east")]),
    (done, True, "direct", ["shop-api"], [DONE]),
    (done, False, "close", [], [DONE]),
    (held_by_somebody, True, "hold", [], [DONE]),
    (resolved, False, "close", [], [DONE]),
)


def made(scene: Scene, *, bad: bool) -> Json:
    """The packet as it leaves us: nothing but JSON."""
    state = State(incident_id=scene.incident_id)
    for record in scene.records:
        state = evolve(state, record)
    here = world(mode="guided")
    view = packet_view(state, b"\x01" * 32, scene.records, now=scene.now, world=here)
    status = "out_of_range" if bad else "normal"
    view["regional_health"] = [
        {
            "service": "shop-api",
            "region": region,
            "signal": "errors",
            "value": 0.2,
            "status": status,
        }
        for region in ("east", "west")
    ]
    document: Json = json.loads(json.dumps(packet(view), allow_nan=False))
    return document


class Successor:
    """Somebody with a packet in their hand, and the reference page on what its fields mean."""

    def __init__(self, packet: Json) -> None:
        self.packet = packet

    def next(self) -> tuple[str, list[str]]:
        for kind, targets in self._grounds():
            return kind, list(dict.fromkeys(targets))
        raise AssertionError("the packet says nothing that I could go by")

    def _grounds(self) -> Iterator[tuple[str, list[str]]]:
        yield from self._before_anything()
        yield from self._doubts()
        yield from self._people()

    def _before_anything(self) -> Iterator[tuple[str, list[str]]]:
        p, command = self.packet, self.packet["command"]
        if p["phase"] in {"resolved", "dismissed"}:
            yield "close", []
        if command["handoff"] or command["asks_for_takeover"]:
            yield "accept", []

    def _doubts(self) -> Iterator[tuple[str, list[str]]]:
        p = self.packet
        if p["steps"]["in_doubt"]:
            yield "settle", [step["target"] for step in p["steps"]["in_doubt"]]
        if p["partly_applied"]:
            yield "look", [half["target"] for half in p["partly_applied"]]
        for step in p["steps"]["completed"][-1:]:
            if step["verified"] in {"contradiction", "stale", "no_data", "mixed"}:
                yield "look", [step["target"]]
        yield from self._refused("live state", "look")

    def _people(self) -> Iterator[tuple[str, list[str]]]:
        p, command = self.packet, self.packet["command"]
        if p["held"] and p["held"]["by"] != "holdfast":
            yield "hold", []
        for step in p["open_approvals"]:
            yield "approve", [step["target"]]
        yield from self._refused("boundary", "ask")
        yield from self._refused("charter", "ask")
        if all(row["status"] == "normal" for row in p["regional_health"]):
            yield "close", []
        if command["charter"]:
            yield "direct", [t for each in command["charter"]["allowed"] for t in each["targets"]]

    def _refused(self, rule: str, kind: str) -> Iterator[tuple[str, list[str]]]:
        for step in self.packet["steps"]["blocked"][-1:]:
            if step["step_id"] == self.packet["last_step"]:
                yield from (
                    (kind, [step["target"]]) for why in step["against"] if why["rule"] == rule
                )

    def not_again(self) -> list[tuple[str, str]]:
        """What is there already, or may be: from the steps and what people did by hand."""
        return [(each["action"], each["target"]) for each in self.packet["do_not_repeat"]]


@pytest.mark.parametrize(("scene", "bad", "kind", "targets", "not_again"), ROWS)
def test_the_packet_alone_names_the_next_safe_step_and_what_must_not_be_repeated(
    scene: Callable[[], Scene],
    bad: bool,  # noqa: FBT001 - a column of the table
    kind: str,
    targets: list[str],
    not_again: list[tuple[str, str]],
) -> None:
    document = made(scene(), bad=bad)
    successor = Successor(document)
    said = document["next_safe_step"]

    assert successor.next() == (kind, targets)
    assert (said["kind"], said["targets"]) == (kind, targets)
    assert successor.not_again() == not_again
    assert said["why"]
    assert f"**{kind}**" in packet_markdown(document)


def test_no_rule_leads_from_a_doubt_to_an_action() -> None:
    doubtful = (in_doubt, in_doubt_and_handed, half_done, contradicting, stale)
    kinds = {
        made(scene(), bad=bad)["next_safe_step"]["kind"]
        for scene in doubtful
        for bad in (True, False)
    }

    assert kinds <= {"settle", "accept", "look"}


def test_after_accepting_it_is_settled_before_anything_else() -> None:
    said = made(in_doubt_and_handed(), bad=True)["next_safe_step"]

    assert said["command"] == "holdfast accept INC-1"
    assert said["then"]["kind"] == "settle"


def test_what_was_reached_and_what_was_not_is_told_plane_by_plane() -> None:
    document = made(half_done(), bad=True)

    assert document["partly_applied"] == [
        {
            "step_id": "S1",
            "target": "shop-api",
            "reached": ["shop-api in east"],
            "not_reached": ["shop-api in west"],
        }
    ]
    assert "shop-api in west: intended 2.3.9, observed 2.4.0, **not reached**" in packet_markdown(
        document
    )


def test_whoever_holds_the_authority_is_not_sent_round_to_themselves() -> None:
    scene = across_a_boundary()
    state = State(incident_id="INC-1")
    for record in scene.records:
        state = evolve(state, record)
    own = Boundary(action="failover_db", target="shop-db", authority="team")
    here = replace(world(), boundaries=(own,), holders={"team": frozenset({"dana", "erin"})})
    view = packet_view(state, b"", scene.records, now=scene.now, world=here)
    found = packet(view)

    assert found["successor"]["who"] == "team"
    assert found["command"]["boundaries"][-1]["people"] == ["dana", "erin"]
    assert found["next_safe_step"]["kind"] != "ask"
