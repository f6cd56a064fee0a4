"""Makes one call of the server's `holdfast_append` out of batches, and words out of its answer.

What is hashed and encoded here needs no connection; the call itself is one
round trip and one transaction for as many batches as came together.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.ledger import postgres_wire as wire
from holdfast.ledger.encode import answered, chain_on, moved, projected, stale
from holdfast.response.store import Batch, ChangedMeanwhileError, Claim, Link

SYSTEM_LOCK = "system"
_KINDS = (
    *("text[]", "bigint[]", "text[]", "bigint[]", "bigint[]", "bytea[]", "boolean[]"),
    *("float8[]", "float8[]"),
    *("integer[]", "bigint[]", "bytea[]", "bytea[]"),
    *("integer[]", "text[]", "bytea[]"),
    *("integer[]", "text[]"),
    *("integer[]", "text[]", "bytea[]"),
    *("text[]", "text[]"),
)
STATEMENT = "select holdfast_append({})".format(
    ", ".join(f"${number}::{kind}" for number, kind in enumerate(_KINDS, start=1))
).encode()
PARAMETERS = len(_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch with everything encoded and hashed: what is left is only to write it."""

    batch: Batch
    after: Claim
    links: Sequence[Link]
    kv: Mapping[str, bytes]
    look: str | None
    answers: Mapping[str, bytes]


def prepare(batch: Batch) -> Prepared:
    """Encode and hash in the caller's thread, before anybody waits for the server."""
    head, links = chain_on(batch.claim, batch.records)
    return Prepared(
        batch=batch,
        after=moved(batch.claim, len(links), head),
        links=links,
        kv=projected(batch, head),
        look=_look(batch),
        answers={request_id: answered(answer) for request_id, answer in batch.answers.items()},
    )


def _look(batch: Batch) -> str | None:
    """Write down what the second look compares with; None for what is no intent."""
    seen, reserve = batch.seen, batch.reserve
    if seen is None:
        return None
    look: dict[str, Any] = {"system_seq": seen.system_seq, "inbox_n": seen.inbox_n}
    if reserve is not None:
        look["cooldown_s"] = seen.cooldown_s
        look["reserve"] = {
            "key": reserve.key,
            "step_id": reserve.step_id,
            "attempt": reserve.attempt,
            "action": reserve.action,
            "target": reserve.target,
        }
        look["limits"] = [
            {"action": o.action, "target": o.target, "window_s": o.window_s, "most": o.most}
            for o in seen.limits
        ]
    return json.dumps(look)


def inbox_lock(incident_id: str) -> str:
    """Name the lock that an intent and the requests for its incident share."""
    return f"inbox:{incident_id}"


def locks(group: Sequence[Prepared]) -> list[str]:
    """Name the locks of a group's intents, in the one order in which everybody takes them."""
    intents = [one.batch for one in group if one.look is not None]
    if not intents:
        return []
    inboxes = {inbox_lock(batch.claim.incident_id) for batch in intents}
    targets = {f"target:{batch.reserve.target}" for batch in intents if batch.reserve}
    return [SYSTEM_LOCK, *sorted(inboxes), *sorted(targets)]


def parameters(group: Sequence[Prepared]) -> list[bytes]:
    """Pack the parameters of the call, in its order."""
    batches = [one.batch for one in group]
    claims = [batch.claim for batch in batches]
    links = [link for one in group for link in one.links]
    values = [(key, value) for one in group for key, value in one.kv.items()]
    answers = [pair for one in group for pair in one.answers.items()]
    return [
        wire.texts([claim.incident_id for claim in claims]),
        wire.bigints([claim.fence for claim in claims]),
        wire.texts([claim.owner for claim in claims]),
        wire.bigints([claim.seq for claim in claims]),
        wire.bigints([one.after.seq for one in group]),
        wire.byte_strings([one.after.head for one in group]),
        wire.booleans([batch.ended for batch in batches]),
        wire.doubles([batch.due_at.timestamp() if batch.due_at else None for batch in batches]),
        wire.doubles([batch.lease_s for batch in batches]),
        _of([len(one.links) for one in group]),
        wire.bigints([link.seq for link in links]),
        wire.byte_strings([link.body for link in links]),
        wire.byte_strings([link.hash for link in links]),
        _of([len(one.kv) for one in group]),
        wire.texts([key for key, _ in values]),
        wire.byte_strings([value for _, value in values]),
        _of([len(batch.settles) for batch in batches]),
        wire.texts([key for batch in batches for key in batch.settles]),
        _of([len(one.answers) for one in group]),
        wire.texts([request_id for request_id, _ in answers]),
        wire.byte_strings([answer for _, answer in answers]),
        wire.texts([one.look for one in group]),
        wire.texts(locks(group)),
    ]


def _of(counts: Sequence[int]) -> bytes:
    """Say for each row which batch it belongs to, counted from 1."""
    return wire.integers([i for i, count in enumerate(counts, start=1) for _ in range(count)])


def outcomes(group: Sequence[Prepared], said: bytes | None) -> list[Claim | Exception]:
    """Read the server's answer: null when all were written, else for each null or a reason."""
    if said is None:
        return [one.after for one in group]
    return [
        one.after if reason is None else _refused(one, json.loads(reason))
        for one, reason in zip(group, json.loads(said), strict=True)
    ]


def _refused(one: Prepared, reason: Sequence[Any]) -> Exception:
    reserve = one.batch.reserve
    target = reserve.target if reserve else ""
    match reason:
        case ["stale"]:
            return stale(one.batch.claim)
        case ["system"]:
            what = "the installation's state (freeze, mode, tokens) changed"
        case ["asked"]:
            what = "a person's request arrived"
        case ["unsettled", incident_id, step_id]:
            what = f"step {step_id} of {incident_id} on {target} has no outcome yet"
        case ["limit", action, on, count, window_s]:
            what = f"{action} on {on} was done {count} times in {window_s:.0f} s"
        case ["cooldown", age_s]:
            what = f"{target} was acted on {age_s:.1f} s ago"
        case ["again"]:
            what = f"attempt {reserve.key if reserve else ''} was intended before"
        case _:
            what = f"the store refused it: {reason}"
    return ChangedMeanwhileError(what)
