"""The ledger in one SQLite file.

WAL, `synchronous=FULL`, group commit. Reading never waits for writing. The
clock of leases is an SQL function, so that the same statements run on the
machine's clock and on a test's. Several processes may use one file; each write
takes the file's own lock.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import Clock, SystemClock, format_at
from holdfast.ledger import encode, queries
from holdfast.ledger.chain import GENESIS
from holdfast.ledger.connection import connect
from holdfast.ledger.hints import Hints
from holdfast.ledger.migrate import migrate
from holdfast.ledger.sqlite_append import Prepared, prepare, write, write_links
from holdfast.ledger.sqlite_reading import SqliteReader
from holdfast.ledger.sqlite_session import Session
from holdfast.ledger.writer import Work, Writer
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

T = TypeVar("T")


class SqliteLedger:
    """Keeps every promise of `response.store.Ledger` in one file."""

    def __init__(self, path: Path, clock: Clock | None = None, *, vfs: str | None = None) -> None:
        self._clock = clock or SystemClock()
        self._writing = connect(path, self._now, vfs)
        migrate(self._writing, str(path))
        self._session = Session(self._writing, queries.load("sqlite"))
        self._writer = Writer(self._writing, str(path))
        reading = Session(connect(path, self._now, vfs), queries.load("sqlite"))
        self._reader = SqliteReader(reading, path)
        self._reading = self._reader.reading()
        self._hints = Hints()

    def close(self) -> None:
        """Finish writing and close the file. What was acknowledged is in the log by then."""
        self._writer.close()
        with suppress(apsw.Error):
            self._reader.close()
        with suppress(apsw.Error):
            if self._writer.broken:
                # The last one to close copies the log home: that would sync again what failed.
                self._writing.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._writing.close()

    @property
    def broken(self) -> str | None:
        """Say why nothing can be written any more; None while all is well."""
        return self._writer.broken

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _write(self, work: Callable[[Session], T]) -> T:
        return self._writer.run(lambda _: work(self._session))

    # --- claims -----------------------------------------------------------

    def open_incident(self, owner: str, lease_s: float) -> Claim:
        def work(session: Session) -> Claim:
            row = session.one("next_incident_number")
            number = row[0] if row else 0
            incident_id = f"INC-{number}"
            values = {"id": incident_id, "n": number, "owner": owner, "lease_s": lease_s}
            session.run("create_incident", values)
            return Claim(incident_id=incident_id, fence=1, owner=owner, seq=0, head=GENESIS)

        return self._write(work)

    def claim_many(self, owner: str, lease_s: float, most: int) -> Sequence[Claim]:
        """Take over up to `most` incidents, those with an expired lease first."""
        if not self._reading.all("claimable", {"now": self._now(), "most": 1}):
            return []  # most polls find nothing: they don't take the file's lock to learn it

        def work(session: Session) -> list[Claim]:
            rows = session.all("claimable", {"now": self._now(), "most": most})
            taken = [{"id": row[0], "owner": owner, "lease_s": lease_s} for row in rows]
            session.run_many("take", taken)
            return [
                Claim(incident_id=i, fence=fence + 1, owner=owner, seq=seq, head=head)
                for i, fence, seq, head in rows
            ]

        return self._write(work)

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        """Claim this incident if nobody holds it; an ended one can be claimed too."""
        values = {"id": incident_id, "owner": owner, "lease_s": lease_s}
        row = self._write(lambda session: session.one("claim_one", values))
        if row is None:
            return None
        _, fence, seq, head = row
        return Claim(incident_id=incident_id, fence=fence, owner=owner, seq=seq, head=head)

    def renew_many(self, claims: Sequence[Claim], lease_s: float) -> Sequence[Claim]:
        """Extend these leases in one commit; return the claims that are not held any more."""

        def work(session: Session) -> list[Claim]:
            return [
                claim
                for claim in claims
                if not session.run("renew", {**_held(claim), "lease_s": lease_s})
            ]

        return self._write(work) if claims else []

    def lease_left_s(self, claim: Claim) -> float:
        """Say how many seconds of the lease are left, by the store's clock; 0 when it is lost."""
        return self._reading.lease_left_s(claim)

    def release(self, claim: Claim) -> None:
        """Give the incident back at once."""
        values = {"id": claim.incident_id, "fence": claim.fence}
        self._write(lambda session: session.run("release", values))
        self._hints.give()

    def park(self, claim: Claim, due_at: datetime | None) -> bool:
        """Give back an incident that has nothing to do before `due_at` (None: until asked)."""
        values = {**_held(claim), "due_at": due_at.timestamp() if due_at else None}
        return bool(self._write(lambda session: session.run("park", values)))

    # --- appends ----------------------------------------------------------

    def append(self, batch: Batch) -> Claim:
        """Write the batch durably and return the claim with the new number and head."""
        prepared = prepare(batch)
        return self._writer.run(lambda _: write(self._session, prepared))

    def append_many(self, batches: Sequence[Batch]) -> Sequence[Claim | Exception]:
        """Write batches of different incidents in one commit; each stands or falls for itself."""
        outcomes = [_prepared(batch) for batch in batches]
        works = [self._appending(one) for one in outcomes if isinstance(one, Prepared)]
        written = iter(self._writer.run_all(works) if works else ())
        return [next(written) if isinstance(one, Prepared) else one for one in outcomes]

    def _appending(self, prepared: Prepared) -> Work:
        return lambda _: write(self._session, prepared)

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        """Append one record to the `_system` chain and return its number."""

        def work(session: Session) -> int:
            row = session.one("head", {"id": SYSTEM_CHAIN})
            seq_before, head = row or (0, GENESIS)
            link = encode.system_link(seq_before + 1, head, kind, data, actor, at)
            write_links(session, [link])
            values = {"seq": link.seq, "head": link.hash, "seq_before": seq_before}
            session.run("move_system_head", values)
            return link.seq

        seq = self._write(work)
        self._hints.give()
        return seq

    # --- the inbox --------------------------------------------------------

    def submit(self, request: Request) -> Request:
        """Put a request durably into the inbox. The same id again returns the first one."""
        values = {
            "id": request.id,
            "incident_id": request.incident_id,
            "kind": request.kind,
            "actor": canonical_json(request.actor.as_data()),
            "data": canonical_json(dict(request.data)),
            "at": format_at(request.at),
        }

        def work(session: Session) -> Request:
            session.run("submit", values)
            return encode.request_of(session.one("request_by_id", {"id": request.id}) or ())

        stored = self._write(work)
        self._hints.give()
        return stored

    def requests(self, incident_id: str) -> Sequence[Request]:
        """List the unanswered requests of one incident (or of `_system`), oldest first."""
        return self._reading.requests(incident_id)

    def waiting(self) -> Sequence[str]:
        """List the chains that have an unanswered request."""
        return self._reading.waiting()

    def answer(self, request_id: str, answer: Answer) -> None:
        """Record the answer. The first one counts."""
        values = {"id": request_id, "answer": encode.answered(answer)}
        self._write(lambda session: session.run("answer", values))

    def answer_of(self, request_id: str) -> Answer | None:
        """Return the answer, or None while there is none."""
        return self._reading.answer_of(request_id)

    # --- reading ----------------------------------------------------------

    def records(
        self, incident_id: str, after: int = 0, most: int | None = None
    ) -> Sequence[Record]:
        """Read the records of one chain in order, from number `after` + 1, `most` at once."""
        return self._reading.records(incident_id, after, most)

    def records_of(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        """Read several chains whole, in one go; one that has no record is absent."""
        return self._reading.records_of(incident_ids)

    def chain(self, incident_id: str) -> tuple[Sequence[Link], HeadMark | None]:
        """Read the stored bytes and hashes of a chain, and its head, as of one moment."""
        return self._reading.chain(incident_id)

    def incident_ids(self, *, live_only: bool = False) -> Sequence[str]:
        """List the incidents, oldest first."""
        return self._reading.incident_ids(live_only=live_only)

    def lately_ended(self, now: datetime) -> Sequence[str]:
        """List the incidents that have ended and whose `due_at` is still to come."""
        return self._reading.lately_ended(now)

    def actions_on(self, target: str, since: datetime) -> Sequence[LoggedAction]:
        """List a target's action log since then, and everything unsettled whatever its age."""
        return self._reading.actions_on(target, since)

    def actions_since(self, since: datetime) -> Sequence[LoggedAction]:
        """List the action log of all targets since then."""
        return self._reading.actions_since(since)

    def kv(self, key: str) -> bytes | None:
        """Read one projection as it was last written; None where there is none."""
        return self._reading.kv(key)

    def system_seq(self) -> int:
        """Give the number of the last record on the `_system` chain."""
        return self._reading.system_seq()

    # --- signatures and the audit store -----------------------------------

    def unsigned_heads(self, key_id: str, most: int) -> Sequence[HeadMark]:
        """List heads (of `_system` too) that this key has not signed as they are now."""
        return self._reading.unsigned_heads(key_id, most)

    def put_signature(self, signed: SignedHead) -> None:
        """Keep a signature. The same one again changes nothing."""
        values = encode.signed_values(signed)
        self._write(lambda session: session.run("put_signature", values))

    def signatures(self, incident_id: str) -> Sequence[SignedHead]:
        """List the signatures of one chain, lowest number first."""
        return self._reading.signatures(incident_id)

    def put_blob(self, blob: SealedBlob) -> None:
        """Keep an entry of the audit store durably. The same digest again changes nothing."""
        values = encode.blob_values(blob)
        self._write(lambda session: session.run("put_blob", values))

    def blob(self, digest: str) -> SealedBlob | None:
        """Read one entry of the audit store; None where there is none, or it was removed."""
        return self._reading.blob(digest)

    def prune_blobs(self, now: datetime) -> int:
        """Remove the entries whose time is over; return how many."""
        return self._write(lambda session: session.run("prune_blobs", {"now": now.timestamp()}))

    # --- changes ----------------------------------------------------------

    def put_change(self, change: Mapping[str, Any]) -> bool:
        """Keep a change of a service durably; False when its `id` is known already."""
        values = encode.change_values(change)
        return bool(self._write(lambda session: session.run("put_change", values)))

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]:
        """Give the changes told since then, oldest first; of more than `limit`, the newest."""
        return self._reading.changes_since(since, limit)

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` after what this process writes; what another one writes, the poll finds."""
        return self._hints.listen(hint)


def _held(claim: Claim) -> dict[str, Any]:
    return {"id": claim.incident_id, "fence": claim.fence, "owner": claim.owner}


def _prepared(batch: Batch) -> Prepared | Exception:
    try:
        return prepare(batch)
    except Exception as error:  # noqa: BLE001 - one batch that can't be encoded stops no other
        return error
