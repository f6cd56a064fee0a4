"""Makes plain JSON of whatever a check found, with credentials taken out.

A reading goes into the ledger, onto pages and into preconditions, so it must be
encodable (no NaN, no objects), bounded, and free of secrets, whoever wrote the check.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.kernel.clock import format_at
from holdfast.kernel.redact import bounded

TEXT_CHARS_MAX = 2000
ITEMS_MAX = 200


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` as plain JSON data: text redacted and bounded, no NaN, lists cut at 200."""
    return {str(key): _value(value) for key, value in data.items()}


def _value(value: object) -> object:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return bounded(value, limit=TEXT_CHARS_MAX)
        case datetime():
            return format_at(value)
        case Mapping():
            return plain(value)
        case list() | tuple() | set() | frozenset():
            return [_value(item) for item in list(value)[:ITEMS_MAX]]
        case _:
            return bounded(str(value), limit=TEXT_CHARS_MAX)
