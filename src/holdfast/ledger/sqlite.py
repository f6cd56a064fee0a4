"""The ledger in one SQLite file.

WAL, `synchronous=FULL`, one writer thread. Reading never waits for writing. The
clock of leases is an SQL function, so that the same statements run on the
machine's clock and on a test's.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import Clock, SystemClock, format_at, parse_at
from holdfast.kernel.errors import LedgerUnavailableError, StaleFenceError
from holdfast.ledger import queries
from holdfast.ledger.chain import GENESIS, ChainVerdict, Link, link_hash, verify_chain
from holdfast.ledger.connection import connect
from holdfast.ledger.migrate import migrate
from holdfast.ledger.writer import Writer
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Answer,
    Batch,
    ChangedMeanwhileError,
    Claim,
    LoggedAction,
    Request,
    Reservation,
)


class SqliteLedger:
    """Keeps every promise of `response.store.Ledger` in one file."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._q = queries.load()
        writing = connect(path, self._now)
        migrate(writing, str(path))
        self._reading = connect(path, self._now)
        self._read_lock = threading.Lock()
        self._writer = Writer(writing, str(path))
        self._writing = writing

    def close(self) -> None:
        """Finish writing and close the file."""
        self._writer.close()
        self._reading.close()
        self._writing.close()

    @property
    def broken(self) -> str | None:
        """Say why nothing can be written any more; None while all is well."""
        return self._writer.broken

    def _now(self) -> float:
        return self._clock.now().timestamp()

    # --- claims -----------------------------------------------------------

    def open_incident(self, owner: str, lease_s: float) -> Claim:
        def work(db: apsw.Connection) -> Claim:
            number = self._one(db, "next_incident_number", {})[0]
            incident_id = f"INC-{number}"
            db.execute(
                self._q["create_incident"],
                {"id": incident_id, "n": number, "owner": owner, "lease_s": lease_s},
            )
            return Claim(incident_id=incident_id, fence=1, owner=owner, seq=0, head=GENESIS)

        return self._writer.run(work)

    def claim_next(self, owner: str, lease_s: float) -> Claim | None:
        return self._claim("claim_next", {"owner": owner, "lease_s": lease_s})

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        """Claim this incident if nobody holds it; an ended one can be claimed too."""
        return self._claim("claim_one", {"id": incident_id, "owner": owner, "lease_s": lease_s})

    def _claim(self, query: str, values: dict[str, Any]) -> Claim | None:
        def work(db: apsw.Connection) -> Claim | None:
            row = db.execute(self._q[query], values).fetchone()
            if row is None:
                return None
            incident_id, fence, seq, head = row
            return Claim(
                incident_id=incident_id, fence=fence, owner=values["owner"], seq=seq, head=head
            )

        return self._writer.run(work)

    def renew(self, claim: Claim, lease_s: float) -> None:
        values = {
            "id": claim.incident_id,
            "fence": claim.fence,
            "owner": claim.owner,
            "lease_s": lease_s,
        }
        if self._writer.run(lambda db: db.execute(self._q["renew"], values).fetchone()) is None:
            raise _stale(claim)

    def lease_left_s(self, claim: Claim) -> float:
        values = {"id": claim.incident_id, "fence": claim.fence, "owner": claim.owner}
        row = self._read("lease_left", values)
        return max(0.0, float(row[0][0])) if row and row[0][0] is not None else 0.0

    def release(self, claim: Claim) -> None:
        values = {"id": claim.incident_id, "fence": claim.fence}
        self._writer.run(lambda db: db.execute(self._q["release"], values).fetchall())

    # --- appends ----------------------------------------------------------

    def append(self, batch: Batch) -> Claim:
        # Hashing and encoding are done by the caller's thread: the writer only writes.
        head, links = _chain_on(batch.claim, batch.records)
        keys = {key: canonical_json(value) for key, value in batch.project(head).items()}
        return self._writer.run(lambda db: self._append(db, batch, head, links, keys))

    def _append(
        self,
        db: apsw.Connection,
        batch: Batch,
        head: bytes,
        links: Sequence[Link],
        keys: Mapping[str, bytes],
    ) -> Claim:
        claim = batch.claim
        seq = claim.seq + len(links)
        moved = db.execute(
            self._q["move_head"],
            {
                "id": claim.incident_id,
                "fence": claim.fence,
                "owner": claim.owner,
                "seq_before": claim.seq,
                "seq": seq,
                "head": head,
                "ended": int(batch.ended),
                "due_at": batch.due_at.timestamp() if batch.due_at else None,
                "lease_s": batch.lease_s,
            },
        ).fetchone()
        if moved is None:
            raise _stale(claim)
        self._second_look(db, batch)
        self._write_links(db, links)
        for key, value in keys.items():
            db.execute(self._q["put_kv"], {"key": key, "value": value})
        self._write_log(db, batch)
        return Claim(
            incident_id=claim.incident_id, fence=claim.fence, owner=claim.owner, seq=seq, head=head
        )

    def _second_look(self, db: apsw.Connection, batch: Batch) -> None:
        """Look again, in the transaction, at everything that can have changed since the guard."""
        seen, reserve = batch.seen, batch.reserve
        if seen is None:
            return
        if self._one(db, "head", {"id": SYSTEM_CHAIN})[0] != seen.system_seq:
            raise ChangedMeanwhileError("the installation's state (freeze, mode, tokens) changed")
        newest = self._one(db, "newest_open_request", {"incident_id": batch.claim.incident_id})[0]
        if newest > seen.inbox_n:
            raise ChangedMeanwhileError("a person's request arrived")
        if reserve is None:  # an attempt that is performed again keeps the reservation it has
            return
        other = db.execute(
            self._q["unsettled_elsewhere"], {"target": reserve.target, "key": reserve.key}
        ).fetchone()
        if other is not None:
            raise ChangedMeanwhileError(
                f"step {other[1]} of {other[0]} on {reserve.target} has no outcome yet"
            )
        self._look_at_limits(db, batch)

    def _look_at_limits(self, db: apsw.Connection, batch: Batch) -> None:
        seen, reserve = batch.seen, batch.reserve
        if seen is None or reserve is None:
            return
        for limit in seen.limits:
            values = {"action": limit.action, "target": limit.target, "window_s": limit.window_s}
            count = self._one(db, "count_actions", values)[0]
            if count + 1 > limit.most:
                raise ChangedMeanwhileError(
                    f"{limit.action} on {limit.target} was done {count} times in "
                    f"{limit.window_s:.0f} s"
                )
        age = self._one(db, "last_action_age", {"target": reserve.target})[0]
        if age is not None and age < seen.cooldown_s:
            raise ChangedMeanwhileError(f"{reserve.target} was acted on {age:.1f} s ago")

    def _write_links(self, db: apsw.Connection, links: Sequence[Link]) -> None:
        for link in links:
            db.execute(
                self._q["insert_record"],
                {
                    "incident_id": link.incident_id,
                    "seq": link.seq,
                    "body": link.body,
                    "hash": link.hash,
                },
            )

    def _write_log(self, db: apsw.Connection, batch: Batch) -> None:
        if batch.reserve is not None:
            self._reserve(db, batch.claim.incident_id, batch.reserve)
        for key in batch.settles:
            db.execute(self._q["settle"], {"key": key})
        for request_id, answer in batch.answers.items():
            db.execute(self._q["answer"], _answered(request_id, answer)).fetchall()

    def _reserve(self, db: apsw.Connection, incident_id: str, reserve: Reservation) -> None:
        values = {
            "key": reserve.key,
            "incident_id": incident_id,
            "step_id": reserve.step_id,
            "attempt": reserve.attempt,
            "action": reserve.action,
            "target": reserve.target,
        }
        try:
            db.execute(self._q["reserve"], values)
        except apsw.ConstraintError:
            raise ChangedMeanwhileError(f"attempt {reserve.key} was intended before") from None

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        def work(db: apsw.Connection) -> int:
            seq_before, head = self._one(db, "head", {"id": SYSTEM_CHAIN})
            record = Record(
                incident_id=SYSTEM_CHAIN,
                seq=seq_before + 1,
                kind=kind,
                at=at,
                actor=actor,
                data=data,
            )
            body = canonical_json(record.body())
            link = Link(
                incident_id=SYSTEM_CHAIN, seq=record.seq, body=body, hash=link_hash(head, body)
            )
            self._write_links(db, [link])
            values = {"seq": link.seq, "head": link.hash, "seq_before": seq_before}
            db.execute(self._q["move_system_head"], values).fetchall()
            return link.seq

        return self._writer.run(work)

    # --- the inbox --------------------------------------------------------

    def submit(self, request: Request) -> Request:
        def work(db: apsw.Connection) -> Request:
            db.execute(
                self._q["submit"],
                {
                    "id": request.id,
                    "incident_id": request.incident_id,
                    "kind": request.kind,
                    "actor": canonical_json(request.actor.as_data()),
                    "data": canonical_json(dict(request.data)),
                    "at": format_at(request.at),
                },
            )
            return _request(self._one(db, "request_by_id", {"id": request.id}))

        return self._writer.run(work)

    def requests(self, incident_id: str) -> Sequence[Request]:
        return [_request(row) for row in self._read("open_requests", {"incident_id": incident_id})]

    def waiting(self) -> Sequence[str]:
        """List the chains that have an unanswered request."""
        return [row[0] for row in self._read("incidents_with_requests", {})]

    def answer(self, request_id: str, answer: Answer) -> None:
        values = _answered(request_id, answer)
        self._writer.run(lambda db: db.execute(self._q["answer"], values).fetchall())

    def answer_of(self, request_id: str) -> Answer | None:
        rows = self._read("answer_of", {"id": request_id})
        if not rows or rows[0][0] is None:
            return None
        value = json.loads(rows[0][0])
        return Answer(ok=value["ok"], message=value["message"], data=value["data"])

    # --- reading ----------------------------------------------------------

    def records(self, incident_id: str, after: int = 0) -> Sequence[Record]:
        rows = self._read("records", {"incident_id": incident_id, "after": after})
        return [_record(incident_id, seq, body) for seq, body, _ in rows]

    def links(self, incident_id: str) -> Sequence[Link]:
        """Read a chain as it is stored: bodies as bytes, with their hashes."""
        rows = self._read("records", {"incident_id": incident_id, "after": 0})
        return [
            Link(incident_id=incident_id, seq=seq, body=body, hash=digest)
            for seq, body, digest in rows
        ]

    def verify(self, incident_id: str) -> ChainVerdict:
        """Check one chain against its hashes and its head, both read at one moment."""
        rows = self._read("chain", {"incident_id": incident_id})
        links = [
            Link(incident_id=incident_id, seq=seq, body=body, hash=digest)
            for seq, body, digest, _ in rows
        ]
        return verify_chain(incident_id, links, rows[0][3] if rows else None)

    def incident_ids(self, *, live_only: bool = False) -> Sequence[str]:
        return [row[0] for row in self._read("incident_ids", {"live_only": int(live_only)})]

    def actions_on(self, target: str, since: datetime) -> Sequence[LoggedAction]:
        rows = self._read("actions_on", {"target": target, "since": since.timestamp()})
        return [
            LoggedAction(
                key=key,
                incident_id=incident_id,
                step_id=step_id,
                action=action,
                target=on,
                at=datetime.fromtimestamp(at, UTC),
                settled=bool(settled),
            )
            for key, incident_id, step_id, action, on, at, settled in rows
        ]

    def kv(self, key: str) -> bytes | None:
        rows = self._read("get_kv", {"key": key})
        return rows[0][0] if rows else None

    def system_seq(self) -> int:
        return int(self._read("head", {"id": SYSTEM_CHAIN})[0][0])

    # --- the file ---------------------------------------------------------

    def _read(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        with self._read_lock:
            try:
                return self._reading.execute(self._q[query], dict(values)).fetchall()
            except apsw.Error as error:
                raise LedgerUnavailableError(
                    f"can't read the ledger {self._path}: {error}; "
                    "run `holdfast incident verify` on a copy, or restore a backup"
                ) from None

    def _one(self, db: apsw.Connection, query: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
        return db.execute(self._q[query], dict(values)).fetchone()


def _answered(request_id: str, answer: Answer) -> dict[str, Any]:
    value = {"ok": answer.ok, "message": answer.message, "data": dict(answer.data)}
    return {"id": request_id, "answer": canonical_json(value)}


def _chain_on(claim: Claim, records: Sequence[Record]) -> tuple[bytes, list[Link]]:
    head, links = claim.head, []
    for offset, record in enumerate(records, start=1):
        if record.seq != claim.seq + offset:
            raise _stale(claim)
        body = canonical_json(record.body())
        head = link_hash(head, body)
        links.append(Link(incident_id=claim.incident_id, seq=record.seq, body=body, hash=head))
    return head, links


def _record(incident_id: str, seq: int, body: bytes) -> Record:
    try:
        return Record.from_body(json.loads(body))
    except (ValueError, KeyError, TypeError):
        raise LedgerUnavailableError(
            f"record {seq} of {incident_id} can't be read: it was changed after it was written; "
            f"run `holdfast incident verify {incident_id}` and restore a backup"
        ) from None


def _request(row: Any) -> Request:  # noqa: ANN401 - a row of the inbox
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


def _stale(claim: Claim) -> StaleFenceError:
    return StaleFenceError(
        f"{claim.incident_id} moved on: fence {claim.fence}, record {claim.seq} of worker "
        f"{claim.owner} is not current any more; nothing was written, read it anew"
    )
