"""A chain as a file that verifies by itself: records, then the signed heads that cover them.

One JSON object per line. A body stands there as JSON, not as text: canonical JSON makes the same
bytes again, and the hash says so if it does not. Nothing in the file is believed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.ledger.chain import GENESIS, ChainVerdict, export_line, link_from_export, verify_chain
from holdfast.ledger.heads import PublicKey, check_signatures, head_from, head_line, is_head
from holdfast.response.store import Link, SignedHead

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def export_rows(links: Sequence[Link], signed: Iterable[SignedHead] = ()) -> list[str]:
    """Write a chain and its signatures as JSON Lines."""
    prev, rows = GENESIS, []
    for link in links:
        rows.append(export_line(link, prev).decode())
        prev = link.hash
    return [*rows, *(head_line(one).decode() for one in signed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an exported file holds. `problem` says what is wrong with the record after `links`."""

    links: Sequence[Link]
    heads: Sequence[SignedHead]
    problem: str | None = None
    bad_heads: int = 0

    @property
    def incident_id(self) -> str:
        """Name the incident, as the first record does."""
        return self.links[0].incident_id if self.links else "?"

    def verify(
        self, keys: Mapping[str, PublicKey], elsewhere: Iterable[SignedHead] = ()
    ) -> ChainVerdict:
        """Check hashes and signatures; `elsewhere` are signed heads that were kept elsewhere."""
        verdict = verify_chain(self.incident_id, self.links)
        if self.problem is not None and not (self.links and not verdict.ok):
            bad = len(self.links) + 1
            verdict = ChainVerdict(
                incident_id=self.incident_id,
                ok=False,
                records=len(self.links),
                head=self.links[-1].hash if self.links else GENESIS,
                first_bad_seq=bad,
                problem=f"record {bad} {self.problem}",
            )
        if self.bad_heads and verdict.ok:
            verdict = ChainVerdict(
                incident_id=verdict.incident_id,
                ok=False,
                records=verdict.records,
                head=verdict.head,
                problem=f"{self.bad_heads} of its signed heads can't be read any more: they were "
                "changed after they were exported",
            )
        return check_signatures(verdict, self.links, self.heads, keys, elsewhere)


def read_export(rows: Sequence[str]) -> Exported | None:
    """Read the lines of an export; None when the first one is no record at all."""
    links: list[Link] = []
    heads: list[SignedHead] = []
    prev, problem, bad_heads = GENESIS, None, 0
    for number, row in enumerate(rows, start=1):
        data = _json(row)
        if is_head(data):
            try:
                heads.append(head_from(data))
            except _UNREADABLE:
                bad_heads += 1
            continue
        if problem is not None:
            continue  # the first bad record is the one to name; heads may still follow
        link, problem = _link(data, prev)
        if link is None and number == 1:
            return None
        if link is not None and problem is None:
            links.append(link)
            prev = link.hash
    return Exported(links=links, heads=heads, problem=problem, bad_heads=bad_heads)


def read_heads(rows: Iterable[str]) -> tuple[list[SignedHead], int]:
    """Read exported heads, one per line; the number says how many lines could not be read."""
    heads, bad = [], 0
    for row in rows:
        try:
            heads.append(head_from(_json(row)))
        except _UNREADABLE:
            bad += 1
    return heads, bad


def _json(row: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(row)
    except (ValueError, RecursionError):
        return None


def _link(data: Any, prev: bytes) -> tuple[Link | None, str | None]:  # noqa: ANN401 - any JSON value
    """Read one record, and say what is wrong with what the hash does not cover."""
    try:
        link = link_from_export(data)
        follows, belongs = data["prev_hash"], data["body"]["incident_id"]
    except _UNREADABLE:
        return None, "can't be read any more: it was changed after it was exported"
    if follows != prev.hex():
        return link, "names another record before it than the one that is there"
    if belongs != link.incident_id:
        return link, f"belongs elsewhere: it says {link.incident_id!r}, its body {belongs!r}"
    return link, None
