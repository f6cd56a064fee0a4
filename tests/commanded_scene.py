"""An incident under command, as records: a charter, a boundary, two handoffs, and back again."""

from datetime import timedelta
from typing import Any

from holdfast.incident import Kind, Record
from holdfast.kernel import Actor, ActorKind, format_at
from tests.scene import CRITERION, DANA, Scene, finished, intended, proposed, up_to_plan, verdict

ERIN = Actor(kind=ActorKind.HUMAN, id="erin", token_id="t-5")
BOT = Actor(kind=ActorKind.AGENT, id="bot", on_behalf_of="dana", token_id="t-2")


def commanded(incident_id: str = "INC-6") -> list[Record]:
    """A step is directed and done; a failover is another team's: refused, recalled, accepted."""
    scene = Scene(incident_id)
    up_to_plan(scene)
    chartered(scene)
    suggested = {"action": "rollback_deploy", "target": "shop-api", "because": "2.4.0 is new"}
    scene.add(Kind.STEP_SUGGESTED, suggested, actor=BOT)
    directed(scene)
    proposed(scene)
    intended(scene)
    finished(scene)
    handed(scene)
    scene.add(Kind.TAKEOVER_RECALLED, {"because": "found it", "to": "team"}, actor=DANA)
    handed(scene)
    scene.add(Kind.TAKEOVER_REFUSED, {"because": "not ours", "to": "team"}, actor=ERIN)
    handed(scene)
    scene.add(Kind.TAKEOVER_ACCEPTED, {"because": "ours", "from": "dana"}, actor=ERIN)
    looked(scene)
    handed(scene, to="holdfast", actor=ERIN)
    scene.add(Kind.TAKEOVER_ACCEPTED, {"because": "looked at again"})
    return scene.records


def chartered(scene: Scene, **more: Any) -> None:  # noqa: ANN401 - any field
    data = {
        "commander": "dana",
        "objective": "the shop sells again",
        "allowed": [{"action": "rollback_deploy", "targets": ["shop-api"]}],
        "boundaries": [
            {"action": "failover_db", "target": "shop-db", "authority": "team", "why": "theirs"}
        ],
        "expires_at": format_at(scene.now + timedelta(hours=2)),
        "four_eyes": False,
        "because": "step by step",
        **more,
    }
    scene.add(Kind.CHARTER_SET, data, actor=DANA)


def directed(scene: Scene, action: str = "rollback_deploy", target: str = "shop-api") -> None:
    data = {"action": action, "target": target, "because": "2.4.0 lost its index", "params": {}}
    scene.add(Kind.DIRECTIVE_RECEIVED, {**data, "expect": [CRITERION]}, actor=DANA)


def handed(scene: Scene, to: str = "team", actor: Actor = DANA) -> None:
    data = {
        "to": to,
        "because": "the failover is theirs",
        "expires_at": format_at(scene.now + timedelta(minutes=5)),
        "digest": "ab" * 32,
        "markdown": "# INC",
        "packet": {"version": 2},
    }
    scene.add(Kind.TAKEOVER_PACKET_ISSUED, data, actor=actor)


def looked(scene: Scene, **more: Any) -> None:  # noqa: ANN401 - any field
    found = {"text": "at 2.3.9", "reachable": True, "planes": [], "partly": False, "seen": {}}
    targets = {"shop-api": {**found, **more}}
    data = {"why": "before `handoff` of erin", "targets": targets}
    scene.add(Kind.CONTROL_PLANES_OBSERVED, data, actor=ERIN)


def refused(scene: Scene, step_id: str, *reasons: dict[str, Any]) -> None:
    data = {"step_id": step_id, "verdict": verdict("refuse", *reasons), "why": "refused"}
    scene.add(Kind.STEP_BLOCKED, data)
    scene.add(Kind.HELD, {"why": "it was refused"})
