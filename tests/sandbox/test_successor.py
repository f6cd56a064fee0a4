"""A successor has the packet and the targets, and nothing of the ledger while it thinks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast.escalation.packet import packet as made_packet
from holdfast.sandbox.blueprint import default_blueprint
from holdfast.sandbox.site import Site
from holdfast.sandbox.succession import Succession, targets
from holdfast.sandbox.successor import named

API = "checkout-api"


def step(number: int, standing: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any kind
    status = {"completed": "verified", "blocked": "blocked", "in_doubt": "in_doubt"}
    given = {
        "step_id": f"S{number}",
        "action": "disable_flag",
        "target": API,
        "standing": standing,
        "status": status.get(standing, "awaiting_approval"),
        "verification": {"status": "met"} if standing == "completed" else None,
    }
    return given | more


def refused(rule: str) -> dict[str, Any]:
    reason = {"rule": rule, "ok": False, "text": "no", "source": "database-platform"}
    return step(2, "blocked", action="failover_db", verdict={"reasons": [reason]})


def view(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any kind
    charter = {"allowed": [{"action": "disable_flag", "targets": [API]}], "expires_at": "2030"}
    given = {
        "incident_id": "INC-1",
        "phase": "planned",
        "at": "2026",
        "commander": "dana",
        "charter": charter,
        "steps": list(steps),
    }
    return given | more


def flags(tmp_path: Path, state: str = "DISABLED") -> dict[str, Any]:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flags": {"slim": {"state": state}}}), encoding="utf-8")
    return {"flags": {"service": API, "file": str(file), "flag": "slim"}}


HANDED = {"to": "sam", "by": "dana", "at": "2026", "expires_at": "2027", "because": "x"}
LOOK = {"status": "contradiction"}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (view(step(1, "completed")), "direct"),
        (view(step(1, "completed"), step(2, "in_doubt")), "settle"),
        (view(step(1, "completed"), handoff=HANDED), "accept"),
        (view(step(1, "completed"), asks_for_takeover=True), "accept"),
        (view(step(1, "completed", verification=LOOK)), "look"),
        (view(step(1, "completed"), refused("live state")), "look"),
        (view(step(1, "completed"), refused("boundary")), "ask"),
        (view(step(1, "completed"), refused("charter")), "ask"),
        (view(step(1, "pending", approval_expires_at="2027")), "approve"),
        (view(step(1, "completed"), phase="resolved"), "close"),
        (
            view(step(1, "completed", status="succeeded", verification=None), phase="verifying"),
            "hold",
        ),
        (view(held={"why": "x", "by": {"id": "sam"}}), "hold"),
        (view(commander=None, charter=None, held={"why": "x", "by": {"id": "holdfast"}}), "look"),
    ],
)
def test_it_names_the_next_safe_step_by_itself_and_the_packet_says_the_same(
    given: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    found = named(made_packet(given), flags(tmp_path))
    assert (found["kind"], found["packet_says"]) == (kind, kind)


def test_what_was_done_or_may_have_been_is_not_done_again(tmp_path: Path) -> None:
    by_hand = {"by": "dana", "at": "2026", "action": "restart_service", "target": "w@eu"}
    given = view(
        step(1, "completed"),
        step(2, "in_doubt", action="clear_cache", target="cache"),
        step(3, "blocked", action="failover_db", target="db"),
        manual=[by_hand],
    )
    found = named(made_packet(given), flags(tmp_path))
    assert set(found["not_again"]) == {
        f"disable_flag:{API}",
        "clear_cache:cache",
        "restart_service:w@eu",
    }


def test_a_deed_that_its_target_does_not_show_makes_it_look_first(tmp_path: Path) -> None:
    made = made_packet(view(step(1, "completed")))
    assert named(made, flags(tmp_path))["seen"] == {f"disable_flag:{API}": True}
    found = named(made, flags(tmp_path, "ENABLED"))
    assert (found["kind"], found["packet_says"]) == ("look", "direct")


def test_the_ledger_is_out_of_reach_meanwhile_and_back_in_its_place_afterwards(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "holdfast"
    directory.mkdir()
    (directory / "holdfast.db").touch()
    site = Site(blueprint=default_blueprint(), root=tmp_path, run=tmp_path, ports={})
    succession = Succession(site, directory, lambda: None)
    # The flag file of the site would lie in the directory itself: only then could it be read.
    site.flag_file.parent.mkdir()
    site.flag_file.symlink_to(directory / "holdfast.db")
    found = succession.named(made_packet(view(step(1, "completed"))))
    assert found["kind"] == "direct"
    assert found["seen"] == {f"disable_flag:{API}": None}
    assert (directory / "holdfast.db").exists()
    assert targets(site).keys() == {"flags", "balancer", "supervisor", "database"}
