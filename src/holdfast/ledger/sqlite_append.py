"""What an append does inside its transaction: fence, second look, records, log.

The fence check comes first and the whole is one transaction: whatever raises
here leaves nothing written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apsw

from holdfast.ledger.encode import answered, chain_on, moved, projected, stale
from holdfast.ledger.sqlite_session import Session
from holdfast.response.store import (
    Batch,
    ChangedMeanwhileError,
    Claim,
    Link,
    Reservation,
    Seen,
)

_NO_SYSTEM = (None, None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch with everything encoded and hashed: what is left is only to write it."""

    batch: Batch
    after: Claim
    links: Sequence[Link]
    kv: Mapping[str, bytes]


def prepare(batch: Batch) -> Prepared:
    """Encode and hash in the caller's thread, before anybody waits for the file."""
    head, links = chain_on(batch.claim, batch.records)
    return Prepared(
        batch=batch,
        after=moved(batch.claim, len(links), head),
        links=links,
        kv=projected(batch, head),
    )


def write(session: Session, prepared: Prepared) -> Claim:
    """Write one batch. Raises StaleFenceError or ChangedMeanwhileError."""
    batch, claim, after = prepared.batch, prepared.batch.claim, prepared.after
    values = {
        "id": claim.incident_id,
        "fence": claim.fence,
        "owner": claim.owner,
        "seq_before": claim.seq,
        "seq": after.seq,
        "head": after.head,
        "ended": int(batch.ended),
        "due_at": batch.due_at.timestamp() if batch.due_at else None,
        "lease_s": batch.lease_s,
    }
    if not (session.run("move_head", values) or session.run("move_head_over", values)):
        raise stale(claim)
    if batch.seen is not None:
        _second_look(session, batch, batch.seen)
    write_links(session, prepared.links)
    session.run_many("put_kv", list(prepared.kv.items()))
    if batch.reserve is not None:
        _reserve(session, claim.incident_id, batch.reserve)
    for key in batch.settles:
        session.run("settle", {"key": key})
    for request_id, answer in batch.answers.items():
        session.run("answer", {"id": request_id, "answer": answered(answer)})
    return after


def write_links(session: Session, links: Sequence[Link]) -> None:
    """Insert records as they were hashed."""
    rows = [(link.incident_id, link.seq, link.body, link.hash) for link in links]
    session.run_many("insert_record", rows)


def _second_look(session: Session, batch: Batch, seen: Seen) -> None:
    """Look again, in the transaction, at everything that can have changed since the guard."""
    reserve = batch.reserve
    values = {
        "incident_id": batch.claim.incident_id,
        # An attempt that is performed again keeps the reservation it has: nothing is looked for.
        "target": reserve.target if reserve else None,
        "key": reserve.key if reserve else None,
    }
    system, newest, other, other_step = session.one("second_look", values) or _NO_SYSTEM
    if system != seen.system_seq:
        raise ChangedMeanwhileError("the installation's state (freeze, mode, tokens) changed")
    if newest is not None and newest > seen.inbox_n:
        raise ChangedMeanwhileError("a person's request arrived")
    if reserve is None:
        return
    if other is not None:
        raise ChangedMeanwhileError(
            f"step {other_step} of {other} on {reserve.target} has no outcome yet"
        )
    _look_at_limits(session, reserve, seen)


def _look_at_limits(session: Session, reserve: Reservation, seen: Seen) -> None:
    for limit in seen.limits:
        values = {"action": limit.action, "target": limit.target, "window_s": limit.window_s}
        row = session.one("count_actions", values)
        count = int(row[0]) if row else 0
        if count + 1 > limit.most:
            raise ChangedMeanwhileError(
                f"{limit.action} on {limit.target} was done {count} times in {limit.window_s:.0f} s"
            )
    if seen.cooldown_s:
        last = session.one("last_action_age", {"target": reserve.target})
        age = last[0] if last else None
        if age is not None and age < seen.cooldown_s:
            raise ChangedMeanwhileError(f"{reserve.target} was acted on {age:.1f} s ago")


def _reserve(session: Session, incident_id: str, reserve: Reservation) -> None:
    values = {
        "key": reserve.key,
        "incident_id": incident_id,
        "step_id": reserve.step_id,
        "attempt": reserve.attempt,
        "action": reserve.action,
        "target": reserve.target,
    }
    try:
        session.run("reserve", values)
    except apsw.ConstraintError:
        raise ChangedMeanwhileError(f"attempt {reserve.key} was intended before") from None
