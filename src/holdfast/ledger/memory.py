"""The ledger in memory: every promise but that it outlives the process.

For tests that make thousands of ledgers, and for the state machine. One lock;
each method checks first and changes afterwards, so nothing is half-written.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger import encode
from holdfast.ledger.hints import Hints
from holdfast.ledger.memory_rows import IncidentRow, LogRow, Tables
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Answer,
    Batch,
    ChangedMeanwhileError,
    Claim,
    HeadMark,
    Link,
    LoggedAction,
    Request,
    SealedBlob,
    SignedHead,
)


class MemoryLedger:
    """Keeps the promises of `response.store.Ledger` until it is closed."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tables = Tables()
        self._lock = threading.RLock()
        self._hints = Hints()
        self._closed = False

    @property
    def broken(self) -> str | None:
        """Nothing breaks it."""
        return None

    def close(self) -> None:
        """Take nothing any more."""
        with self._lock:
            self._closed = True

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _open(self) -> Tables:
        if self._closed:
            raise LedgerUnavailableError(
                "the ledger in memory was closed before this was handed in; nothing was written"
            )
        return self._tables

    # --- claims -----------------------------------------------------------

    def open_incident(self, owner: str, lease_s: float) -> Claim:
        with self._lock:
            tables = self._open()
            tables.numbers += 1
            row = IncidentRow(id=f"INC-{tables.numbers}", n=tables.numbers)
            tables.incidents[row.id] = row
            return row.take(owner, self._now() + lease_s)

    def claim_many(self, owner: str, lease_s: float, most: int) -> Sequence[Claim]:
        """Take over up to `most` incidents, those with an expired lease first."""
        with self._lock:
            now = self._now()
            return [row.take(owner, now + lease_s) for row in self._open().claimable(now)[:most]]

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        """Claim this incident if nobody holds it; an ended one can be claimed too."""
        with self._lock:
            now = self._now()
            row = self._open().incidents.get(incident_id)
            if row is None or row.seq == 0 or not row.is_free(now):
                return None
            return row.take(owner, now + lease_s)

    def _held(self, claim: Claim) -> IncidentRow | None:
        row = self._open().incidents.get(claim.incident_id)
        return row if row is not None and row.holds(claim) else None

    def renew_many(self, claims: Sequence[Claim], lease_s: float) -> Sequence[Claim]:
        """Extend these leases; return the claims that are not held any more."""
        with self._lock:
            lost = []
            for claim in claims:
                row = self._held(claim)
                if row is None:
                    lost.append(claim)
                else:
                    row.lease_until = max(row.lease_until or 0.0, self._now() + lease_s)
            return lost

    def lease_left_s(self, claim: Claim) -> float:
        """Say how many seconds of the lease are left; 0 when it is lost."""
        with self._lock:
            row = self._held(claim)
            if row is None or row.lease_until is None:
                return 0.0
            return max(0.0, row.lease_until - self._now())

    def release(self, claim: Claim) -> None:
        """Give the incident back at once."""
        with self._lock:
            row = self._open().incidents.get(claim.incident_id)
            if row is not None and row.fence == claim.fence:
                row.let_go()
        self._hints.give()

    def park(self, claim: Claim, due_at: datetime | None) -> bool:
        """Give back an incident that has nothing to do before `due_at` (None: until asked)."""
        with self._lock:
            row = self._held(claim)
            if row is None or self._tables.open_requests(claim.incident_id):
                return False
            row.let_go()
            row.parked, row.due_at = True, due_at.timestamp() if due_at else None
            return True

    # --- appends ----------------------------------------------------------

    def append(self, batch: Batch) -> Claim:
        """Write the batch and return the claim with the new number and head."""
        head, links = encode.chain_on(batch.claim, batch.records)
        kv = encode.projected(batch, head)
        with self._lock:
            row = self._held(batch.claim)
            if row is None or row.seq != batch.claim.seq:
                raise encode.stale(batch.claim)
            if batch.seen is not None:
                self._tables.second_look(batch, batch.seen, self._now())
            if batch.reserve is not None and batch.reserve.key in self._tables.log:
                raise ChangedMeanwhileError(f"attempt {batch.reserve.key} was intended before")
            self._move(row, batch, links, head)
            self._tables.kv.update(kv)
            self._write_log(batch)
            return encode.moved(batch.claim, len(links), head)

    def _move(self, row: IncidentRow, batch: Batch, links: list[Link], head: bytes) -> None:
        self._tables.links.setdefault(row.id, []).extend(links)
        row.seq += len(links)
        row.head, row.ended = head, batch.ended
        row.due_at = batch.due_at.timestamp() if batch.due_at else None
        row.lease_until = self._now() + batch.lease_s

    def _write_log(self, batch: Batch) -> None:
        log = self._tables.log
        if batch.reserve is not None:
            self._tables.reserve(batch.reserve, batch.claim.incident_id, self._now())
        for key in batch.settles:
            if key in log:
                log[key].settled = True
        for request_id, answer in batch.answers.items():
            self._answer(request_id, answer)

    def append_many(self, batches: Sequence[Batch]) -> Sequence[Claim | Exception]:
        """Write batches of different incidents at one moment; each stands or falls for itself."""
        with self._lock:
            self._open()
            return [self._tried(batch) for batch in batches]

    def _tried(self, batch: Batch) -> Claim | Exception:
        try:
            return self.append(batch)
        except Exception as error:  # noqa: BLE001 - handed to the caller who sent the batch
            return error

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        """Append one record to the `_system` chain and return its number."""
        with self._lock:
            row = self._open().incidents[SYSTEM_CHAIN]
            link = encode.system_link(row.seq + 1, row.head, kind, data, actor, at)
            self._tables.links.setdefault(SYSTEM_CHAIN, []).append(link)
            row.seq, row.head = link.seq, link.hash
        self._hints.give()
        return link.seq

    # --- the inbox --------------------------------------------------------

    def submit(self, request: Request) -> Request:
        """Put a request into the inbox. The same id again returns the first one."""
        with self._lock:
            inbox = self._open().inbox
            if request.id not in inbox:
                inbox[request.id] = replace(request, n=len(inbox) + 1, data=dict(request.data))
            stored = inbox[request.id]
        self._hints.give()
        return stored

    def requests(self, incident_id: str) -> Sequence[Request]:
        """List the unanswered requests of one incident (or of `_system`), oldest first."""
        with self._lock:
            return self._open().open_requests(incident_id)

    def waiting(self) -> Sequence[str]:
        """List the chains that have an unanswered request."""
        with self._lock:
            tables = self._open()
            waiting = {r.incident_id: None for r in tables.inbox.values()}
            return [incident_id for incident_id in waiting if tables.open_requests(incident_id)]

    def answer(self, request_id: str, answer: Answer) -> None:
        """Record the answer. The first one counts."""
        with self._lock:
            self._open()
            self._answer(request_id, answer)

    def _answer(self, request_id: str, answer: Answer) -> None:
        if request_id in self._tables.inbox:
            self._tables.answers.setdefault(request_id, encode.answered(answer))

    def answer_of(self, request_id: str) -> Answer | None:
        """Return the answer, or None while there is none."""
        with self._lock:
            stored = self._open().answers.get(request_id)
        return encode.answer_of(stored) if stored is not None else None

    # --- reading ----------------------------------------------------------

    def records(
        self, incident_id: str, after: int = 0, most: int | None = None
    ) -> Sequence[Record]:
        """Read the records of one chain in order, from number `after` + 1, `most` at once."""
        with self._lock:
            links = self._open().links.get(incident_id, [])[after:][:most]
        return [encode.record_of(incident_id, link.seq, link.body) for link in links]

    def records_of(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        """Read several chains whole; one that has no record is absent."""
        with self._lock:
            found = {one: self.records(one) for one in incident_ids}
        return {one: records for one, records in found.items() if records}

    def chain(self, incident_id: str) -> tuple[Sequence[Link], HeadMark | None]:
        """Read the stored bytes and hashes of a chain, and its head, as of one moment."""
        with self._lock:
            row = self._open().incidents.get(incident_id)
            links = list(self._tables.links.get(incident_id, ()))
            return links, _mark(row) if row is not None else None

    def incident_ids(self, *, live_only: bool = False) -> Sequence[str]:
        """List the incidents, oldest first."""
        with self._lock:
            return [
                row.id
                for row in self._open().incidents.values()
                if row.seq > 0 and row.id != SYSTEM_CHAIN and not (live_only and row.ended)
            ]

    def lately_ended(self, now: datetime) -> Sequence[str]:
        """List the incidents that have ended and whose `due_at` is still to come."""
        with self._lock:
            return [
                row.id
                for row in self._open().incidents.values()
                if row.ended and row.due_at is not None and row.due_at > now.timestamp()
            ]

    def actions_on(self, target: str, since: datetime) -> Sequence[LoggedAction]:
        """List a target's action log since then, and everything unsettled whatever its age."""
        with self._lock:
            rows = [
                row
                for row in self._open().log.values()
                if row.reserve.target == target and (row.at >= since.timestamp() or not row.settled)
            ]
        return [_logged(row) for row in sorted(rows, key=lambda row: row.at)]

    def actions_since(self, since: datetime) -> Sequence[LoggedAction]:
        """List the action log of all targets since then."""
        with self._lock:
            rows = [row for row in self._open().log.values() if row.at >= since.timestamp()]
        return [_logged(row) for row in sorted(rows, key=lambda row: row.at)]

    def kv(self, key: str) -> bytes | None:
        """Read one projection as it was last written; None where there is none."""
        with self._lock:
            return self._open().kv.get(key)

    def system_seq(self) -> int:
        """Give the number of the last record on the `_system` chain."""
        with self._lock:
            return self._open().incidents[SYSTEM_CHAIN].seq

    # --- signatures and the audit store -----------------------------------

    def unsigned_heads(self, key_id: str, most: int) -> Sequence[HeadMark]:
        """List heads (of `_system` too) that this key has not signed as they are now."""
        with self._lock:
            tables = self._open()
            rows = sorted(tables.incidents.values(), key=lambda row: row.n)
            marks = [_mark(row) for row in rows if row.seq > 0]
            signed = {(one.mark, one.key_id) for one in tables.signatures.values()}
            return [mark for mark in marks if (mark, key_id) not in signed][:most]

    def put_signature(self, signed: SignedHead) -> None:
        """Keep a signature. The same one again changes nothing."""
        with self._lock:
            key = (signed.mark.incident_id, signed.mark.seq, signed.key_id)
            self._open().signatures.setdefault(key, signed)

    def signatures(self, incident_id: str) -> Sequence[SignedHead]:
        """List the signatures of one chain, lowest number first."""
        with self._lock:
            found = [
                signed
                for signed in self._open().signatures.values()
                if signed.mark.incident_id == incident_id
            ]
        return sorted(found, key=lambda signed: (signed.mark.seq, signed.at))

    def put_blob(self, blob: SealedBlob) -> None:
        """Keep an entry of the audit store. The same digest again changes nothing."""
        with self._lock:
            self._open().blobs.setdefault(blob.digest, blob)

    def blob(self, digest: str) -> SealedBlob | None:
        """Read one entry of the audit store; None where there is none, or it was removed."""
        with self._lock:
            return self._open().blobs.get(digest)

    def prune_blobs(self, now: datetime) -> int:
        """Remove the entries whose time is over; return how many."""
        with self._lock:
            blobs = self._open().blobs
            over = [digest for digest, blob in blobs.items() if blob.expires_at <= now]
            for digest in over:
                del blobs[digest]
            return len(over)

    # --- changes ----------------------------------------------------------

    def put_change(self, change: Mapping[str, Any]) -> bool:
        """Keep a change of a service; False when its `id` is known already."""
        row = encode.change_values(change)
        with self._lock:
            return self._open().changes.setdefault(row["id"], row) is row

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]:
        """Give the changes told since then, oldest first; of more than `limit`, the newest."""
        with self._lock:
            rows = [row for row in self._open().changes.values() if row["at"] >= since.timestamp()]
        newest = sorted(rows, key=lambda row: (row["at"], row["id"]), reverse=True)[:limit]
        return tuple(json.loads(row["data"]) for row in reversed(newest))

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` when there may be something to do; return a function that ends this."""
        return self._hints.listen(hint)


def _mark(row: IncidentRow) -> HeadMark:
    return HeadMark(incident_id=row.id, seq=row.seq, head=row.head)


def _logged(row: LogRow) -> LoggedAction:
    return LoggedAction(
        key=row.reserve.key,
        incident_id=row.incident_id,
        step_id=row.reserve.step_id,
        action=row.reserve.action,
        target=row.reserve.target,
        at=datetime.fromtimestamp(row.at, UTC),
        settled=row.settled,
    )
