"""How a request is made safe to send twice, and how one waits for its turn.

A key makes the request's id: the same key of the same token on the same incident is the same
request, so it has one effect and one answer, whatever happened since.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.incident import Record, State
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError, RefusedError
from holdfast.kernel.redact import redact
from holdfast.response.ordering import busy_with
from holdfast.response.store import Request

KEY_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 10_000
WAIT_S_MAX = 3600.0
_WORDS = frozenset({"because", "objective", "text", "evidence"})
_POLL_S = 0.2


def request_id(token_id: str | None, incident_id: str, key: str | None) -> str:
    """Give the id of a request: a new one, or that of its key. Raises BadInputError."""
    if key is None:
        return os.urandom(12).hex()
    if not key.strip() or not key.isprintable() or len(key) > KEY_CHARACTERS_MAX:
        raise BadInputError(
            f"the idempotency key {key!r:.80} can't be used; give 1 to {KEY_CHARACTERS_MAX} "
            "printable characters",
            field="idempotency-key",
        )
    words = canonical_json([token_id, incident_id, key])
    return f"key-{hashlib.sha256(words).hexdigest()}"


def without_secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """Take what looks like a credential out of a person's words; what a step is given stays."""
    return {
        key: redact(value) if key in _WORDS and isinstance(value, str) else value
        for key, value in data.items()
    }


def check_text(data: Any, field: str | None = None) -> None:  # noqa: ANN401 - any JSON value
    """Raise BadInputError for text that can't be recorded, or is no text for a record."""
    if isinstance(data, str):
        _check_words(data, field)
    elif isinstance(data, Mapping):
        for name, value in data.items():
            _check_words(str(name), field)
            check_text(value, field or str(name))
    elif isinstance(data, list | tuple):
        for value in data:
            check_text(value, field)


def _check_words(text: str, field: str | None) -> None:
    if len(text) > TEXT_CHARACTERS_MAX:
        raise BadInputError(
            f"{field} is {len(text)} characters long; write at most {TEXT_CHARACTERS_MAX}, and "
            "name where the rest can be read",
            field=field,
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInputError(
            f"{field} is no text in UTF-8 ({text!a:.80}); write it anew", field=field
        ) from None


def check_same(asked: Request, stored: Request, key: str | None) -> None:
    """Refuse a key that was used for something else. Raises RefusedError."""
    if asked.kind == stored.kind and canonical_json(dict(asked.data)) == canonical_json(
        dict(stored.data)
    ):
        return
    raise RefusedError(
        f"the idempotency key {key!r} was used for another request on {asked.incident_id} "
        f"(`{stored.kind}`, request {stored.n}); give each request a key of its own, or repeat "
        "that one word for word"
    )


def said_before(
    records: Sequence[Record], asked_id: str, kind: str, data: Mapping[str, Any]
) -> Record | None:
    """Find what a key already wrote into the `_system` chain.

    Raises RefusedError where it was something else.
    """
    for record in records:
        if record.data.get("request_id") != asked_id:
            continue
        before = {name: record.data.get(name) for name in data}
        if record.kind == kind and canonical_json(before) == canonical_json(dict(data)):
            return record
        raise RefusedError(
            f"the idempotency key was used for something else (record {record.seq} of _system, "
            f"{record.kind}); give each request a key of its own, or repeat that one word for word"
        )
    return None


def wait_for_turn(look: Callable[[], State], clock: Clock, wait_s: float) -> None:
    """Wait until no step is under way any more. Raises RefusedError when the time is over."""
    if not 0 < wait_s <= WAIT_S_MAX:
        raise BadInputError(
            f"--wait is {wait_s:g} s; write more than 0 and at most {WAIT_S_MAX:g} s", field="wait"
        )
    never, until = threading.Event(), clock.monotonic() + wait_s
    while (busy := busy_with(look())) is not None:
        if clock.monotonic() >= until:
            raise RefusedError(f"{busy}, still after {wait_s:g} s; nothing was asked for")
        clock.wait(never, _POLL_S)
