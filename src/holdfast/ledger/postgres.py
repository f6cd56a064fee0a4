"""The ledger in PostgreSQL: many workers, on as many hosts as there are.

Each write is one statement and one transaction, decided on the server, so a
worker that is stopped in the middle holds no lock. The clock of leases is the
server's. Whatever happens to a connection, this ledger comes back when the
server does: it is never `broken`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import Clock, SystemClock, format_at
from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger import encode, queries
from holdfast.ledger.chain import GENESIS
from holdfast.ledger.postgres_append import Prepared, prepare
from holdfast.ledger.postgres_connection import WAIT_S, Server
from holdfast.ledger.postgres_detector import OnlyDetector
from holdfast.ledger.postgres_listen import Listener
from holdfast.ledger.postgres_migrate import migrate
from holdfast.ledger.postgres_sessions import Row, Sessions
from holdfast.ledger.postgres_writer import PostgresWriter
from holdfast.ledger.reading import Reading
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

_SYSTEM_TRIES = 100


class PostgresLedger:
    """Keeps every promise of `response.store.Ledger` in one database.

    `ahead_s` shifts the server's clock for this ledger, to try out clocks that are wrong;
    `patience_s` is how long a reply may take before the connection is given up.
    """

    def __init__(
        self,
        dsn: str,
        clock: Clock | None = None,
        *,
        ahead_s: float = 0.0,
        patience_s: float = WAIT_S,
    ) -> None:
        self._server = Server(
            dsn=dsn, clock=clock or SystemClock(), ahead_s=ahead_s, patience_s=patience_s
        )
        migrate(self._server)
        self._queries = queries.load("postgres")
        self._sessions = Sessions(self._server, self._queries)
        self._reading = Reading(self._sessions.read, ids=list, no_limit=None)
        self._writer = PostgresWriter(self._server, self._queries)
        self._listener = Listener(self._server, self._queries)

    def close(self) -> None:
        """Finish what was handed in and let go of every connection."""
        self._listener.close()
        self._writer.close()
        self._sessions.close()

    @property
    def broken(self) -> str | None:
        """None: a server that went away may come back, and then this ledger does."""
        return None

    def only_detector(self) -> OnlyDetector:
        """Give the lock that only one detector of this database holds."""
        return OnlyDetector(self._server, self._queries)

    def somebody_works(self) -> bool:
        """Say whether a worker listens to this database now."""
        return bool(self._reading.all("somebody_works", {})[0][0])

    # --- claims -----------------------------------------------------------

    def open_incident(self, owner: str, lease_s: float) -> Claim:
        """Allot an id and claim it. The incident exists once its first record is appended."""
        rows = self._sessions.write("open_incident", {"owner": owner, "lease_s": lease_s})
        return Claim(incident_id=rows[0][0], fence=1, owner=owner, seq=0, head=GENESIS)

    def claim_many(self, owner: str, lease_s: float, most: int) -> Sequence[Claim]:
        """Take over up to `most` incidents, those with an expired lease first."""
        values = {"owner": owner, "lease_s": lease_s, "most": most}
        return [_claim(row, owner) for row in self._sessions.write("claim_many", values)]

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        """Claim this incident if nobody holds it; an ended one can be claimed too."""
        values = {"id": incident_id, "owner": owner, "lease_s": lease_s}
        rows = self._sessions.write("claim_one", values)
        return _claim(rows[0], owner) if rows else None

    def renew_many(self, claims: Sequence[Claim], lease_s: float) -> Sequence[Claim]:
        """Extend these leases in one commit; return the claims that are not held any more."""
        held: set[tuple[str, int, str]] = set()
        for owner in sorted({claim.owner for claim in claims}):
            own = [claim for claim in claims if claim.owner == owner]
            values = {
                "ids": [claim.incident_id for claim in own],
                "fences": [claim.fence for claim in own],
                "owner": owner,
                "lease_s": lease_s,
            }
            held.update(
                (row[0], row[1], owner) for row in self._sessions.write("renew_many", values)
            )
        return [c for c in claims if (c.incident_id, c.fence, c.owner) not in held]

    def lease_left_s(self, claim: Claim) -> float:
        """Say how many seconds of the lease are left, by the server's clock; 0 when it is lost."""
        return self._reading.lease_left_s(claim)

    def release(self, claim: Claim) -> None:
        """Give the incident back at once."""
        self._sessions.write("release", _held(claim))

    def park(self, claim: Claim, due_at: datetime | None) -> bool:
        """Give back an incident that has nothing to do before `due_at` (None: until asked)."""
        values = {**_held(claim), "due_at": due_at.timestamp() if due_at else None}
        return bool(self._sessions.write("park", values))

    # --- appends ----------------------------------------------------------

    def append(self, batch: Batch) -> Claim:
        """Write the batch durably and return the claim with the new number and head."""
        (outcome,) = self._writer.append([prepare(batch)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def append_many(self, batches: Sequence[Batch]) -> Sequence[Claim | Exception]:
        """Write batches of different incidents in one commit; each stands or falls for itself."""
        found = [_prepared(batch) for batch in batches]
        written = iter(self._writer.append([one for one in found if isinstance(one, Prepared)]))
        return [next(written) if isinstance(one, Prepared) else one for one in found]

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        """Append one record to the `_system` chain and return its number."""
        for _ in range(_SYSTEM_TRIES):
            before = self._reading.head(SYSTEM_CHAIN)
            seq_before, head = (before.seq, before.head) if before else (0, GENESIS)
            link = encode.system_link(seq_before + 1, head, kind, data, actor, at)
            values = {"seq_before": seq_before, "body": link.body, "hash": link.hash}
            # No is also the answer to a repeated call whose first reply was lost.
            if self._sessions.write("append_system", values)[0][0] or self._is_there(link):
                return link.seq
        raise LedgerUnavailableError(
            f"the _system chain of {self._server.shown} moved on {_SYSTEM_TRIES} times while one "
            "record was to be added; nothing was written, try again"
        )

    def _is_there(self, link: Link) -> bool:
        values = {"ids": [link.incident_id], "seqs": [link.seq], "fences": [0]}
        return any(row[2] == link.hash for row in self._reading.all("written", values))

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
        self._sessions.write("submit", values)
        return self._reading.request(request.id)

    def requests(self, incident_id: str) -> Sequence[Request]:
        """List the unanswered requests of one incident (or of `_system`), oldest first."""
        return self._reading.requests(incident_id)

    def waiting(self) -> Sequence[str]:
        """List the chains that have an unanswered request."""
        return self._reading.waiting()

    def answer(self, request_id: str, answer: Answer) -> None:
        """Record the answer. The first one counts."""
        self._sessions.write("answer", {"id": request_id, "answer": encode.answered(answer)})

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
        self._sessions.write("put_signature", values)

    def signatures(self, incident_id: str) -> Sequence[SignedHead]:
        """List the signatures of one chain, lowest number first."""
        return self._reading.signatures(incident_id)

    def put_blob(self, blob: SealedBlob) -> None:
        """Keep an entry of the audit store durably. The same digest again changes nothing."""
        values = encode.blob_values(blob)
        self._sessions.write("put_blob", values)

    def blob(self, digest: str) -> SealedBlob | None:
        """Read one entry of the audit store; None where there is none, or it was removed."""
        return self._reading.blob(digest)

    def prune_blobs(self, now: datetime) -> int:
        """Remove the entries whose time is over; return how many."""
        return int(self._sessions.write("prune_blobs", {"now": now.timestamp()})[0][0])

    # --- changes ----------------------------------------------------------

    def put_change(self, change: Mapping[str, Any]) -> bool:
        """Keep a change of a service durably; False when its `id` is known already."""
        return bool(self._sessions.write("put_change", encode.change_values(change))[0][0])

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]:
        """Give the changes told since then, oldest first; of more than `limit`, the newest."""
        return self._reading.changes_since(since, limit)

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint`, from a thread of its own, after what any process writes to this database."""
        return self._listener.listen(hint)


def _claim(row: Row, owner: str) -> Claim:
    incident_id, fence, seq, head = row
    return Claim(incident_id=incident_id, fence=fence, owner=owner, seq=seq, head=head)


def _held(claim: Claim) -> dict[str, Any]:
    return {"id": claim.incident_id, "fence": claim.fence, "owner": claim.owner}


def _prepared(batch: Batch) -> Prepared | Exception:
    try:
        return prepare(batch)
    except Exception as error:  # noqa: BLE001 - one batch that can't be encoded stops no other
        return error
