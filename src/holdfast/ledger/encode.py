"""What every store does alike: bytes out of records, records out of rows, the chain between.

Pure, so that three stores can't differ in what they hash or in what they say
when a worker is overtaken.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor
from holdfast.kernel.canonical import canonical_json, canonical_text, quoted, read_json
from holdfast.kernel.clock import format_at, parse_at
from holdfast.kernel.errors import LedgerUnavailableError, StaleFenceError
from holdfast.ledger.chain import link_hash
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Answer,
    Batch,
    Claim,
    HeadMark,
    Link,
    LoggedAction,
    Request,
    SealedBlob,
    SignedHead,
)


def chain_on(claim: Claim, records: Sequence[Record]) -> tuple[bytes, list[Link]]:
    """Hash records onto the claim's head. Raises StaleFenceError when the numbers don't follow."""
    head, links = claim.head, []
    for offset, record in enumerate(records, start=1):
        if record.seq != claim.seq + offset:
            raise stale(claim)
        body = body_of(record)
        head = link_hash(head, body)
        links.append(Link(incident_id=claim.incident_id, seq=record.seq, body=body, hash=head))
    return head, links


def body_of(record: Record) -> bytes:
    """Give the bytes of `canonical_json(record.body())`.

    What is around the data has its place known beforehand: nothing there is to be sorted.
    """
    cause = "null" if record.cause is None else str(record.cause)
    return (
        f'{{"actor":{_actor(record.actor)},"at":"{format_at(record.at)}","cause":{cause},'
        f'"data":{canonical_text(dict(record.data))},"incident_id":{quoted(record.incident_id)},'
        f'"kind":{quoted(record.kind)},"seq":{record.seq}}}'
    ).encode()


@lru_cache(maxsize=256)
def _actor(actor: Actor) -> str:
    return canonical_text(actor.as_data())


def system_link(
    seq: int, head: bytes, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime
) -> Link:
    """Make the link that follows `head` as number `seq` of the `_system` chain."""
    record = Record(incident_id=SYSTEM_CHAIN, seq=seq, kind=kind, at=at, actor=actor, data=data)
    body = body_of(record)
    return Link(incident_id=SYSTEM_CHAIN, seq=seq, body=body, hash=link_hash(head, body))


def projected(batch: Batch, head: bytes) -> dict[str, bytes]:
    """Encode the projections that go with a batch (key -> bytes)."""
    return {key: canonical_json(value) for key, value in batch.project(head).items()}


def moved(claim: Claim, count: int, head: bytes) -> Claim:
    """Give the claim as it is after `count` records that lead to `head`."""
    return Claim(
        incident_id=claim.incident_id,
        fence=claim.fence,
        owner=claim.owner,
        seq=claim.seq + count,
        head=head,
    )


def record_of(incident_id: str, seq: int, body: bytes) -> Record:
    """Read one stored record. Raises LedgerUnavailableError when it is none any more."""
    try:
        return Record.from_body(read_json(body))
    except (ValueError, KeyError, TypeError):
        raise LedgerUnavailableError(
            f"record {seq} of {incident_id} can't be read: it was changed after it was written; "
            f"run `holdfast incident verify {incident_id}` and restore a backup"
        ) from None


def request_of(row: Sequence[Any]) -> Request:
    """Read one row of the inbox: n, id, incident_id, kind, actor, data, at."""
    n, request_id, incident_id, kind, actor, data, at = row
    return Request(
        id=request_id,
        n=n,
        incident_id=incident_id,
        kind=kind,
        actor=Actor.from_data(json.loads(actor)),
        data=json.loads(data),
        at=parse_at(at),
    )


def change_values(change: Mapping[str, Any]) -> dict[str, Any]:
    """Name the columns of a change's row."""
    return {
        "id": str(change["id"]),
        "at": parse_at(change["at"]).timestamp(),
        "data": canonical_json(dict(change)),
    }


def answered(answer: Answer) -> bytes:
    """Encode an answer as the inbox keeps it."""
    return canonical_json({"ok": answer.ok, "message": answer.message, "data": dict(answer.data)})


def answer_of(stored: bytes) -> Answer:
    """Read an answer back."""
    value = json.loads(stored)
    return Answer(ok=value["ok"], message=value["message"], data=value["data"])


def logged(row: Sequence[Any]) -> LoggedAction:
    """Read one row of the action log: key, incident_id, step_id, action, target, at, settled."""
    key, incident_id, step_id, action, target, at, settled = row
    return LoggedAction(
        key=key,
        incident_id=incident_id,
        step_id=step_id,
        action=action,
        target=target,
        at=datetime.fromtimestamp(at, UTC),
        settled=bool(settled),
    )


def signed_of(row: Sequence[Any]) -> SignedHead:
    """Read one signature: incident_id, seq, head, at, key_id, signature."""
    incident_id, seq, head, at, key_id, signature = row
    return SignedHead(
        mark=HeadMark(incident_id=incident_id, seq=seq, head=head),
        at=parse_at(at),
        key_id=key_id,
        signature=signature,
    )


def blob_of(row: Sequence[Any]) -> SealedBlob:
    """Read one entry of the audit store: digest, incident_id, step_id, at, expires_at, sealed."""
    digest, incident_id, step_id, at, expires_at, sealed = row
    return SealedBlob(
        digest=digest,
        incident_id=incident_id,
        step_id=step_id,
        at=datetime.fromtimestamp(at, UTC),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        sealed=sealed,
    )


def stale(claim: Claim) -> StaleFenceError:
    """Say that a claim is not current any more."""
    return StaleFenceError(
        f"{claim.incident_id} moved on: fence {claim.fence}, record {claim.seq} of worker "
        f"{claim.owner} is not current any more; nothing was written, read it anew"
    )


def signed_values(signed: SignedHead) -> dict[str, Any]:
    """Name the columns of a signature's row."""
    return {
        "incident_id": signed.mark.incident_id,
        "seq": signed.mark.seq,
        "head": signed.mark.head,
        "at": format_at(signed.at),
        "key_id": signed.key_id,
        "signature": signed.signature,
    }


def blob_values(blob: SealedBlob) -> dict[str, Any]:
    """Name the columns of an audit entry's row."""
    return {
        "digest": blob.digest,
        "incident_id": blob.incident_id,
        "step_id": blob.step_id,
        "at": blob.at.timestamp(),
        "expires_at": blob.expires_at.timestamp(),
        "sealed": blob.sealed,
    }
