"""The five keys, as every surface reads them.

Four are projections written with the records; the timeline is rendered from the
records themselves, so that a long incident's append stays as cheap as a short
one's.
"""

import json
from typing import Any

from holdfast.app.desk import Desk
from holdfast.kernel.errors import BadInputError, NotFoundError

NAMES = ("status", "steps", "checkpoint", "timeline", "owner")
_PARTS = 3


def read_key(desk: Desk, key: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read `incident:ID:NAME`. Raises BadInputError for a key of another form."""
    parts = key.split(":")
    if len(parts) != _PARTS or parts[0] != "incident" or parts[2] not in NAMES:
        raise BadInputError(
            f"{key!r} is no key; write incident:ID:NAME with NAME one of {', '.join(NAMES)}",
            field="key",
        )
    incident_id = parts[1]
    if parts[2] == "timeline":
        entries = desk.timeline(incident_id)
        return {"incident_id": incident_id, "seq": entries[-1]["seq"], "timeline": entries}
    value = desk.ledger.kv(key)
    if value is None:
        desk.state(incident_id)
        raise NotFoundError(f"{key} has no value yet; try again in a moment")
    return json.loads(value)
