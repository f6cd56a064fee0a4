"""Looks at what an action gave back before it is believed.

An action may come from a stranger's package. One that gives no outcome, no look or nothing that
can be written down has told nothing, and must not stop the worker that asked it.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.kernel.canonical import canonical_json
from holdfast.response.ports import ActionOutcome, Effect, ProbeResult


class NoAnswerError(Exception):
    """What came back is not what an action gives."""


def checked_outcome(given: object) -> ActionOutcome:
    """Return an outcome whose parts are what they say they are. Raises NoAnswerError."""
    if not isinstance(given, ActionOutcome):
        raise _wrong("perform", given, "an ActionOutcome")
    parts = {
        "ok": isinstance(given.ok, bool),
        # Done means that the effect is there; else nobody knows which of the two to believe.
        "effect": _is_effect(given.effect) and (given.effect is Effect.PRESENT or not given.ok),
        "summary": isinstance(given.summary, str),
        "output": isinstance(given.output, str),
        "return_code": isinstance(given.return_code, int | None),
        "error_category": isinstance(given.error_category, str | None),
    }
    _all_right("perform", parts)
    return given


def checked_probe(given: object) -> ProbeResult:
    """Return a look whose parts are what they say they are. Raises NoAnswerError."""
    if not isinstance(given, ProbeResult):
        raise _wrong("probe", given, "a ProbeResult")
    parts = {
        "effect": _is_effect(given.effect),
        "evidence": isinstance(given.evidence, str),
        "data": _can_be_written(given.data) and _names_planes(given.data, "plane", "reached"),
    }
    _all_right("probe", parts)
    return given


def checked_pre_image(given: object) -> Mapping[str, Any]:
    """Return a pre-image that can be written down. Raises NoAnswerError."""
    if not isinstance(given, Mapping):
        raise _wrong("observe", given, "a mapping")
    parts = {
        "reachable": isinstance(given.get("reachable", True), bool),
        "pre-image": _can_be_written(given),
        "planes": _can_be_written(given) and _names_planes(given, "plane", "now", "intended"),
    }
    _all_right("observe", parts)
    return given


def _is_effect(value: object) -> bool:
    return isinstance(value, Effect)


def _can_be_written(value: object) -> bool:
    try:
        canonical_json(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(value, Mapping)


def _names_planes(data: Mapping[str, Any], *fields: str) -> bool:
    """Each control plane's place is a mapping with these fields; they are shown, and compared."""
    planes = data.get("planes", ())
    return isinstance(planes, list | tuple) and all(
        isinstance(each, Mapping)
        and isinstance(each.get("plane"), str)
        and all(map(each.__contains__, fields))
        for each in planes
    )


def _all_right(method: str, parts: Mapping[str, bool]) -> None:
    wrong = [name for name, right in parts.items() if not right]
    if wrong:
        raise NoAnswerError(f"the {wrong[0]} that its {method} gave is not what it must be")


def _wrong(method: str, given: object, wanted: str) -> NoAnswerError:
    return NoAnswerError(f"its {method} gave {type(given).__name__}, not {wanted}")
