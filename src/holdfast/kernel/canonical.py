"""One byte string for one value, so that a hash means something.

Keys sorted, no white space, UTF-8, no NaN. The bytes are stored as they were
hashed; nothing re-encodes them later.
"""

import json
from json.encoder import encode_basestring
from typing import Any

from pydantic_core import from_json, to_json

# Made once: every append encodes half a dozen values. What refers to itself ends in a
# RecursionError, which is found just as surely and costs nothing to look for.
_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
)


class Encoded(bytes):
    """JSON that is made already, and not to be hashed: `canonical_json` hands it on as it is."""


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Encode `value` canonically. Raises ValueError for NaN and infinities."""
    if isinstance(value, Encoded):
        return value
    return canonical_text(value).encode()


def canonical_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Encode `value` as part of a larger one. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def quoted(text: str) -> str:
    """Encode one string, as `canonical_text` would at twice the price."""
    return encode_basestring(text)


def plain_json(value: Any) -> Encoded:  # noqa: ANN401 - any JSON value
    """Encode `value` four times as fast, in whatever order its keys are.

    For what is shown and written over, never for what is hashed. A NaN becomes null.
    """
    return Encoded(to_json(value))


def read_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Decode one JSON value in UTF-8. Raises ValueError for anything else."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        # It refuses what is nested more than two hundred deep, which may have been written.
        return json.loads(str(body, "utf-8"))
