"""Reads the JSON of one incident without trusting its shape.

A packet is made in the worst moment, maybe from what a newer version wrote: what is absent or of
another type reads as nothing, and every text is one line, redacted and bounded.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.kernel.redact import bounded

_TEXT_CHARACTERS_MAX = 600

View = Mapping[str, Any]


def text_of(value: object) -> str:
    """Give one line of text, redacted and bounded; nothing for nothing."""
    if value is None:
        return ""
    return bounded(" ".join(str(value).split()), limit=_TEXT_CHARACTERS_MAX)


def number_of(value: object) -> float | None:
    """Give a finite number, else nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def texts_of(view: View, key: str) -> list[str]:
    """Give a part that is a list of texts."""
    return [text_of(item) for item in list_of(view, key)]


def mapping_of(view: View, key: str) -> View:
    """Give a part that is a mapping, else an empty one."""
    value = view.get(key)
    return value if isinstance(value, Mapping) else {}


def list_of(view: View, key: str) -> Sequence[Any]:
    """Give a part that is a list, else an empty one."""
    value = view.get(key)
    return value if isinstance(value, list | tuple) else ()


def maps_of(view: View, key: str) -> Sequence[View]:
    """Give the mappings of a part that is a list."""
    return [item for item in list_of(view, key) if isinstance(item, Mapping)]


def sentence_of(verdict: View) -> str:
    """Say a verdict: its own sentence, or what speaks against the step."""
    if verdict.get("sentence"):
        return text_of(verdict["sentence"])
    against = [r for r in maps_of(verdict, "reasons") if not r.get("ok")]
    return "; ".join(text_of(reason.get("text")) for reason in against)
