"""What was applied, control plane by control plane, and what of it must not be done a second time.

A step is listed by its standing. Partly applied is what was reached at one place and not at
another: it is neither done nor undone, and repeating it blindly does the first half twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.escalation.view import View, list_of, mapping_of, maps_of, sentence_of, text_of

STANDINGS = (
    "completed",
    "in_doubt",
    "pending",
    "blocked",
    "skipped",
    "reversed",
    "not_applied",
)
Steps = Mapping[str, Sequence[Mapping[str, Any]]]


def steps_of(view: View) -> dict[str, list[dict[str, Any]]]:
    """List the steps by their standing; one that we don't know is in doubt: leave it alone."""
    groups: dict[str, list[dict[str, Any]]] = {standing: [] for standing in STANDINGS}
    for step in maps_of(view, "steps"):
        standing = str(step.get("standing"))
        groups[standing if standing in groups else "in_doubt"].append(_step(step))
    return groups


def _step(step: View) -> dict[str, Any]:
    verification = mapping_of(step, "verification")
    return {
        "step_id": text_of(step.get("step_id")) or None,
        "action": text_of(step.get("action")) or None,
        "target": text_of(step.get("target")) or None,
        "params": dict(mapping_of(step, "params")),
        "attempt": step.get("attempt"),
        "status": text_of(step.get("status")) or None,
        "by": mapping_of(step, "by").get("id"),
        "because": text_of(step.get("because")),
        "started_at": step.get("started_at"),
        "ended_at": step.get("ended_at"),
        "hash": step.get("hash"),
        "approved_by": mapping_of(step, "approval").get("by"),
        "expires_at": step.get("approval_expires_at"),
        "criteria": [text_of(each) for each in list_of(step, "criteria")],
        "outcome": text_of(mapping_of(step, "outcome").get("summary")),
        "verified": text_of(verification.get("status")) or None,
        "verification": sentence_of(verification),
        "why": sentence_of(mapping_of(step, "verdict")),
        "against": list(_against(mapping_of(step, "verdict"))),
        "undo": text_of(step.get("undo")),
        "undo_of": step.get("undo_of"),
        "reversible": text_of(mapping_of(step, "pre_image").get("reversible")),
        "planes": [_plane(plane) for plane in maps_of(step, "planes")],
    }


def _against(verdict: View) -> Iterator[dict[str, Any]]:
    for reason in maps_of(verdict, "reasons"):
        if not reason.get("ok"):
            yield {
                "rule": reason.get("rule"),
                "text": text_of(reason.get("text")),
                "source": reason.get("source"),
            }


def _plane(plane: View) -> dict[str, Any]:
    reached = plane.get("reached")
    looked_at = isinstance(reached, bool)
    found = text_of(plane.get("now"))
    return {
        "plane": text_of(plane.get("plane")),
        "intended": text_of(plane.get("intended")),
        # Before anybody looked again, what was read is how it was before the step.
        "observed": found if looked_at else None,
        "before": None if looked_at else found,
        "reached": reached if looked_at else None,
        "lasting": bool(plane.get("lasting", True)),
    }


def control_planes(view: View, steps: Steps) -> list[dict[str, Any]]:
    """List each place that was touched, observed against intended; the newest look counts."""
    found: dict[tuple[Any, str], dict[str, Any]] = {}
    whose = {step["target"]: step["step_id"] for step in (*steps["completed"], *steps["in_doubt"])}
    for standing in ("completed", "in_doubt", "not_applied", "reversed"):
        for step in steps[standing]:
            for plane in step["planes"]:
                found[step["target"], plane["plane"]] = {
                    "target": step["target"],
                    "step_id": step["step_id"],
                    **plane,
                    "at": step["ended_at"],
                }
    for target, look in mapping_of(view, "planes").items():
        if not isinstance(look, Mapping):
            continue
        for plane in map(_plane, maps_of(look, "planes")):
            new = {"target": target, "step_id": whose.get(target)}
            before = found.get((target, plane["plane"]), new)
            found[target, plane["plane"]] = {**before, **plane, "at": look.get("at")}
    return list(found.values())


def partly_applied(planes: Sequence[View]) -> list[dict[str, Any]]:
    """List the steps that reached one place and not another."""
    by_step: dict[tuple[Any, Any], list[View]] = {}
    for plane in planes:
        if plane["lasting"] and plane["reached"] is not None:
            by_step.setdefault((plane["step_id"], plane["target"]), []).append(plane)
    return [
        {
            "step_id": step_id,
            "target": target,
            "reached": [p["plane"] for p in found if p["reached"]],
            "not_reached": [p["plane"] for p in found if not p["reached"]],
        }
        for (step_id, target), found in by_step.items()
        if len({bool(plane["reached"]) for plane in found}) > 1
    ]


def reversible(steps: Steps) -> list[dict[str, Any]]:
    """Say of each completed step whether it can be undone, and how."""
    return [
        {
            "step_id": step["step_id"],
            "action": step["action"],
            "target": step["target"],
            "can": bool(step["reversible"]) and not step["reversible"].startswith("no"),
            "how": step["reversible"] or "nobody said how",
        }
        for step in steps["completed"]
        if not step["undo_of"]
    ]


def do_not_repeat(view: View, steps: Steps, partly: Sequence[View]) -> list[dict[str, Any]]:
    """List what has happened, or may have: doing it again would do it twice."""
    halves = {each["step_id"]: each for each in partly}
    found = [
        _deed(step, _why_not(step, halves.get(step["step_id"])))
        for standing in ("in_doubt", "completed", "reversed")
        for step in steps[standing]
        if standing != "reversed" or step["step_id"] in halves
    ]
    for each in maps_of(view, "manual"):
        why = f"{each.get('by')} did it by hand at {each.get('at')}: {text_of(each.get('because'))}"
        found.append(
            {
                "step_id": None,
                "action": each.get("action"),
                "target": each.get("target"),
                "why": why,
            }
        )
    return found


def _deed(step: View, why: str) -> dict[str, Any]:
    names = ("step_id", "action", "target")
    return {**{name: step[name] for name in names}, "why": why}


def _why_not(step: View, half: View | None) -> str:
    if half is not None:
        reached, missed = ", ".join(half["reached"]), ", ".join(half["not_reached"])
        return f"applied in part: reached {reached}; not reached {missed}"
    if step["status"] in {"intended", "in_doubt"}:
        return "it may have taken effect, nobody knows"
    done = f"it was done at {step['ended_at'] or 'an unknown time'}"
    return f"{done} and verified" if step["verified"] == "met" else f"{done}, recovery not proven"
