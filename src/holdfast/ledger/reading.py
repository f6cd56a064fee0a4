"""Reads a ledger by its named queries: the same for every store that has rows.

What a store does differently is how a query is run, how a list of ids is handed over, and what
stands for "no limit".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.incident.records import Record
from holdfast.ledger import encode
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Answer,
    Claim,
    HeadMark,
    Link,
    LoggedAction,
    Request,
    SealedBlob,
    SignedHead,
)

Row = tuple[Any, ...]
Run = Callable[[str, Mapping[str, Any]], list[Row]]


class Reading:
    """The reading half of the promises of `response.store.Ledger`. `all` runs one named query."""

    def __init__(
        self, run: Run, *, ids: Callable[[Sequence[str]], object], no_limit: int | None
    ) -> None:
        self.all = run
        self._ids = ids
        self._no_limit = no_limit

    def lease_left_s(self, claim: Claim) -> float:
        values = {"id": claim.incident_id, "fence": claim.fence, "owner": claim.owner}
        row = self.all("lease_left", values)
        return max(0.0, float(row[0][0])) if row and row[0][0] is not None else 0.0

    def records(self, incident_id: str, after: int, most: int | None) -> list[Record]:
        limit = self._no_limit if most is None else most
        values = {"incident_id": incident_id, "after": after, "most": limit}
        rows = self.all("records", values)
        return [encode.record_of(incident_id, seq, body) for seq, body in rows]

    def records_of(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        found: dict[str, list[Record]] = {}
        for incident_id, seq, body in self.all("records_of", {"ids": self._ids(incident_ids)}):
            found.setdefault(incident_id, []).append(encode.record_of(incident_id, seq, body))
        return found

    def chain(self, incident_id: str) -> tuple[Sequence[Link], HeadMark | None]:
        rows = self.all("chain", {"incident_id": incident_id})
        links = [
            Link(incident_id=incident_id, seq=seq, body=body, hash=digest)
            for _, _, seq, body, digest in rows
            if seq is not None
        ]
        seq, head = rows[0][:2]
        if head is None:
            return links, None
        return links, HeadMark(incident_id=incident_id, seq=seq, head=head)

    def head(self, incident_id: str) -> HeadMark | None:
        rows = self.all("head", {"id": incident_id})
        return HeadMark(incident_id=incident_id, seq=rows[0][0], head=rows[0][1]) if rows else None

    def request(self, request_id: str) -> Request:
        return encode.request_of(self.all("request_by_id", {"id": request_id})[0])

    def incident_ids(self, *, live_only: bool) -> list[str]:
        return [row[0] for row in self.all("incident_ids", {"live_only": live_only})]

    def lately_ended(self, now: datetime) -> list[str]:
        return [row[0] for row in self.all("lately_ended", {"now": now.timestamp()})]

    def requests(self, incident_id: str) -> list[Request]:
        rows = self.all("open_requests", {"incident_id": incident_id})
        return [encode.request_of(row) for row in rows]

    def waiting(self) -> list[str]:
        return [row[0] for row in self.all("incidents_with_requests", {})]

    def answer_of(self, request_id: str) -> Answer | None:
        rows = self.all("answer_of", {"id": request_id})
        return encode.answer_of(rows[0][0]) if rows and rows[0][0] is not None else None

    def actions_on(self, target: str, since: datetime) -> list[LoggedAction]:
        rows = self.all("actions_on", {"target": target, "since": since.timestamp()})
        return [encode.logged(row) for row in rows]

    def actions_since(self, since: datetime) -> list[LoggedAction]:
        rows = self.all("actions_since", {"since": since.timestamp()})
        return [encode.logged(row) for row in rows]

    def kv(self, key: str) -> bytes | None:
        rows = self.all("get_kv", {"key": key})
        return rows[0][0] if rows else None

    def system_seq(self) -> int:
        return int(self.all("head", {"id": SYSTEM_CHAIN})[0][0])

    def unsigned_heads(self, key_id: str, most: int) -> list[HeadMark]:
        rows = self.all("unsigned_heads", {"key_id": key_id, "most": most})
        return [HeadMark(incident_id=i, seq=seq, head=head) for i, seq, head in rows]

    def signatures(self, incident_id: str) -> list[SignedHead]:
        rows = self.all("signatures", {"incident_id": incident_id})
        return [encode.signed_of(row) for row in rows]

    def changes_since(self, since: datetime, limit: int) -> tuple[Mapping[str, Any], ...]:
        rows = self.all("changes_since", {"since": since.timestamp(), "most": limit})
        return tuple(json.loads(row[0]) for row in rows)

    def blob(self, digest: str) -> SealedBlob | None:
        rows = self.all("blob", {"digest": digest})
        return encode.blob_of(rows[0]) if rows else None
