"""What an undo is about to change: the places that the undone step changed, as they were before it.

An action tells how performing would change its target; for an undo that is turned round.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.incident import State, Step


def undone_planes(undone: Step, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Predict the control planes of an undo: as they are, and as they were before the step."""
    seen = {each["plane"]: each.get("now") for each in now.get("planes", ())}
    return [
        {
            "plane": each["plane"],
            "now": seen.get(each["plane"], each.get("intended")),
            "intended": each.get("now"),
        }
        for each in undone.pre_image.get("planes", ())
    ]


def pre_image_of(state: State, step: Step, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is written down with the intent of a step: what the target is right before it."""
    undone = state.step(step.undo_of) if step.undo_of else None
    if undone is None:
        return dict(seen)
    reversible = f"no: it is itself the undo of {step.undo_of}"
    return {**seen, "reversible": reversible, "planes": undone_planes(undone, seen)}
