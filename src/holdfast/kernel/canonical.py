"""One byte string for one value, so that a hash means something.

Keys sorted, no white space, UTF-8, no NaN. The bytes are stored as they were
hashed; nothing re-encodes them later.
"""

import json
from typing import Any


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Encode `value` canonically. Raises ValueError for NaN and infinities."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
