"""Names the places of the control planes that an action changes, and how each one stands.

Before the step an entry predicts: as it is now, as it is to be. Afterwards it says whether that was
reached. Some reached and some not is a step that was applied in part, and never verified. Only
what was seen is listed: a place that can't be looked at has no entry. What fades by its nature is
said to be so, and what is still on its way as well, so that neither is taken for a half-done step.
"""

from typing import Any

PLANE_CHARS_MAX = 200


def predicted(plane: str, *, now: str, intended: str) -> dict[str, Any]:
    """Make the entry of a place for `observe`. `plane` is the system and the place in it."""
    return {"plane": _short(plane), "now": _short(now), "intended": _short(intended)}


def compared(
    plane: str,
    *,
    now: str,
    intended: str,
    reached: bool,
    lasting: bool = True,
    under_way: bool = False,
) -> dict[str, Any]:
    """Make the entry of the same place for `probe`.

    `lasting=False`: that it is not so any more says nothing against the step. `under_way`: it is
    not reached yet, and goes on by itself; who waits a little sees more.
    """
    entry = {**predicted(plane, now=now, intended=intended), "reached": reached}
    if not lasting:
        entry["lasting"] = False
    if under_way and not reached:
        entry["under_way"] = True
    return entry


def _short(text: str) -> str:
    return text if len(text) <= PLANE_CHARS_MAX else text[: PLANE_CHARS_MAX - 1] + "…"
