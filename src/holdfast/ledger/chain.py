"""The hash chain: what makes a change to a written record show.

`hash = sha256(prev_hash || body)`, over the exact bytes that are stored. The
first record of a chain follows 32 zero bytes. Hashes alone don't stop someone who
can rewrite a whole chain in the database: the signed heads in `ledger.heads` do.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.kernel.canonical import canonical_json
from holdfast.response.store import Ledger, Link

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """Whether a chain is whole; if not, the first bad record and what is wrong with it.

    `signed_up_to_seq` is the last record that a checked signature (of `key_id`) covers; `notes`
    is what a person should know beside the verdict.
    """

    incident_id: str
    ok: bool
    records: int
    head: bytes
    first_bad_seq: int | None = None
    problem: str | None = None
    signed_up_to_seq: int | None = None
    key_id: str | None = None
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return {
            "incident_id": self.incident_id,
            "ok": self.ok,
            "records": self.records,
            "head_hash": self.head.hex(),
            "first_bad_seq": self.first_bad_seq,
            "problem": self.problem,
            "signed_up_to_seq": self.signed_up_to_seq,
            "key_id": self.key_id,
            "notes": list(self.notes),
        }


def link_hash(prev: bytes, body: bytes) -> bytes:
    """Hash one body onto the chain (32 bytes in, 32 bytes out)."""
    return hashlib.sha256(prev + body).digest()


def verify_chain(
    incident_id: str, links: Iterable[Link], head: bytes | None = None
) -> ChainVerdict:
    """Check a chain from its first record on; `head` is where the store says that it ends."""
    prev, count = GENESIS, 0
    for link in links:
        problem = _problem(incident_id, link, prev, count + 1)
        if problem:
            return ChainVerdict(
                incident_id=incident_id,
                ok=False,
                records=count,
                head=prev,
                first_bad_seq=count + 1,
                problem=problem,
            )
        prev, count = link.hash, count + 1
    if head is not None and head != prev:
        return ChainVerdict(
            incident_id=incident_id,
            ok=False,
            records=count,
            head=prev,
            first_bad_seq=count + 1,
            problem=(
                f"the chain ends at record {count}, the store's head is another one: "
                "records are missing"
            ),
        )
    return ChainVerdict(
        incident_id=incident_id,
        ok=count > 0,
        records=count,
        head=prev,
        problem=None if count else "there is no record",
    )


def verify(ledger: Ledger, incident_id: str) -> ChainVerdict:
    """Check one chain against its hashes and its head, both read at one moment."""
    links, mark = ledger.chain(incident_id)
    return verify_chain(incident_id, links, mark.head if mark else None)


def _problem(incident_id: str, link: Link, prev: bytes, expected_seq: int) -> str | None:
    if link.seq != expected_seq:
        return f"record {expected_seq} is missing; the next one found is {link.seq}"
    if link_hash(prev, link.body) != link.hash:
        return f"record {link.seq} does not match its hash: it was changed after it was written"
    try:
        body = json.loads(link.body)
    except ValueError:
        return f"record {link.seq} is not JSON"
    if not isinstance(body, dict):
        return f"record {link.seq} is not a JSON object"
    if body.get("incident_id") != incident_id or body.get("seq") != link.seq:
        return (
            f"record {link.seq} belongs elsewhere: its body says "
            f"{body.get('incident_id')!r} number {body.get('seq')!r}"
        )
    return None


def export_line(link: Link, prev: bytes) -> bytes:
    """Write one line of an export: the body is kept as text, so that its bytes survive."""
    return canonical_json(
        {
            "incident_id": link.incident_id,
            "seq": link.seq,
            "prev_hash": prev.hex(),
            "hash": link.hash.hex(),
            "body": json.loads(link.body),
        }
    )


def link_from_export(line: Mapping[str, Any]) -> Link:
    """Read one line of an export back. Canonical JSON makes the same bytes again."""
    return Link(
        incident_id=line["incident_id"],
        seq=line["seq"],
        body=canonical_json(line["body"]),
        hash=bytes.fromhex(line["hash"]),
    )
