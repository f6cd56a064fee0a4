"""Reads plain JSON values strictly: what is wrong is named by its path, its value and a way out.

Nothing is coerced. A value is shown shortened, and without what looks like a secret.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from holdfast.incident.timeline import one_line
from holdfast.kernel.clock import parse_at
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded

_SHOWN_MAX = 60
# Control characters but for tab and line feed, and the marks that turn the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}


def bad(field: str, value: object, advice: str) -> BadInputError:
    """Make the error for one field."""
    name = bounded(field, limit=200)
    shown = bounded(json.dumps(value, default=str), limit=_SHOWN_MAX)
    if isinstance(value, dict | list) or value is None:
        shown = _KINDS[type(value)]
    return BadInputError(f"{name} is {shown}; {advice}", field=name)


def read_json(body: bytes) -> object:
    """Read a body. Raises BadInputError for what is no JSON, NaN and the like included."""
    try:
        return json.loads(body, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadInputError(f"the body is no JSON: {bounded(why, limit=200)}", field="") from None


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def as_mapping(value: object, field: str) -> Mapping[str, Any]:
    """Read an object."""
    if not isinstance(value, dict):
        raise bad(field, value, "send a JSON object")
    return value


def as_list(value: object, field: str) -> Sequence[Any]:
    """Read a list."""
    if not isinstance(value, list):
        raise bad(field, value, "send a JSON list")
    return value


def as_text(value: object, field: str) -> str:
    """Read text, as it is."""
    if not isinstance(value, str):
        raise bad(field, value, "send text")
    return value


def as_lines(value: object, field: str) -> str:
    """Read text of several lines, without what steers a terminal."""
    return _STEERING.sub(" ", as_text(value, field))


def as_words(value: object, field: str, most: int) -> str:
    """Read text of 1 to `most` characters as one line without control characters or secrets."""
    text = one_line(as_text(value, field))
    if not 0 < len(text) <= most:
        raise bad(field, value, f"send text of 1 to {most} characters")
    return bounded(text, limit=most)


def as_moment(value: object, field: str) -> datetime:
    """Read a moment in RFC 3339, in UTC."""
    advice = "send a moment in RFC 3339, such as 2030-01-01T12:00:00Z"
    if not isinstance(value, str):
        raise bad(field, value, advice)
    try:
        at = parse_at(value)
    except (ValueError, OverflowError):
        raise bad(field, value, advice) from None
    return at.astimezone(UTC)
