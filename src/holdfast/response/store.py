"""What the engine needs from a ledger, and what it may rely on.

One writer per incident and fence: an append with a stale fence or number writes
nothing and says so. A record is durable when `append` returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from holdfast.incident.records import Record
from holdfast.kernel.actor import Actor

SYSTEM_CHAIN = "_system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write one incident's chain, until the lease ends."""

    incident_id: str
    fence: int
    owner: str
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """At most `most` actions of this name on a target in `window_s` seconds, this one included."""

    action: str
    target: str
    window_s: float
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """An entry of the target's action log, written with the intent."""

    key: str
    step_id: str
    attempt: int
    action: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the guard looked at; the transaction refuses when any of it has changed since.

    `inbox_n` is the newest request that was decided upon; with 0, none may stand unanswered.
    """

    system_seq: int
    inbox_n: int
    limits: tuple[LimitCheck, ...] = ()
    cooldown_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One stored record: the exact body bytes and the hash that was stored with them."""

    incident_id: str
    seq: int
    body: bytes
    hash: bytes


def _nothing(_head: bytes) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records to append in one transaction.

    `project` makes the projections (key -> JSON data) from the head that the records lead to.
    `answers` (request id -> answer) are given in the same transaction, so that a request is
    carried out once, whenever the process dies. `due_at` of one that has ended says until when it
    may be reopened.
    """

    claim: Claim
    records: Sequence[Record]
    at: datetime
    lease_s: float
    project: Callable[[bytes], Mapping[str, Any]] = _nothing
    ended: bool = False
    due_at: datetime | None = None
    reserve: Reservation | None = None
    seen: Seen | None = None
    settles: tuple[str, ...] = ()
    answers: Mapping[str, "Answer"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person or an agent asks for, durable before it is looked at."""

    id: str
    n: int
    incident_id: str
    kind: str
    actor: Actor
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request. `ok` False is a refusal, with its reason."""

    ok: bool
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAction:
    """One line of a target's action log."""

    key: str
    incident_id: str
    step_id: str
    action: str
    target: str
    at: datetime
    settled: bool


class ChangedMeanwhileError(Exception):
    """What the guard looked at changed before the intent was written. Nothing was written."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMark:
    """Where a chain ends: what a signature is made over."""

    incident_id: str
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """One head with its Ed25519 signature (64 bytes); `key_id` names the public key."""

    mark: HeadMark
    at: datetime
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBlob:
    """One entry of the restricted audit store: encrypted, found by the digest of what it holds."""

    digest: str
    incident_id: str
    step_id: str
    at: datetime
    expires_at: datetime
    sealed: bytes


class Ledger(Protocol):
    """An append-only store of records, one chain per incident.

    Methods raise LedgerUnavailableError when the store can't be reached or written. A worker
    whose reply was lost learns from the store what became of its append before it goes on.
    """

    @property
    def broken(self) -> str | None:
        """Say why nothing can be written any more by this process; None while all is well."""
        ...

    def close(self) -> None:
        """Finish what was handed in and let go of the store."""
        ...

    def open_incident(self, owner: str, lease_s: float) -> Claim:
        """Allot an id and claim it. The incident exists once its first record is appended."""
        ...

    def claim_many(self, owner: str, lease_s: float, most: int) -> Sequence[Claim]:
        """Take over up to `most` incidents that nobody holds and that have something to do.

        Those whose lease has run out come first, the oldest of them first; then those given back;
        a parked one counts once its `due_at` has come or a request for it stands unanswered.
        """
        ...

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        """Claim this incident if nobody holds it; an ended one can be claimed too."""
        ...

    def renew_many(self, claims: Sequence[Claim], lease_s: float) -> Sequence[Claim]:
        """Extend these leases in one commit; return the claims that are not held any more."""
        ...

    def lease_left_s(self, claim: Claim) -> float:
        """Say how many seconds of the lease are left, by the store's clock; 0 when it is lost."""
        ...

    def release(self, claim: Claim) -> None:
        """Give the incident back at once, so that nobody waits for the lease to end."""
        ...

    def park(self, claim: Claim, due_at: datetime | None) -> bool:
        """Give back an incident that has nothing to do before `due_at` (None: until asked).

        Returns False, and keeps the claim, when a request for it stands unanswered or when the
        claim is not held any more.
        """
        ...

    def append(self, batch: Batch) -> Claim:
        """Write the batch durably and return the claim with the new number and head.

        Raises StaleFenceError (nothing written), ChangedMeanwhileError (an intent whose
        grounds changed; nothing written), LedgerUnavailableError (can't be written).
        """
        ...

    def append_many(self, batches: Sequence[Batch]) -> Sequence[Claim | Exception]:
        """Write batches of different incidents in one commit; each stands or falls for itself.

        Returns for each its claim, or the error that `append` would have raised.
        """
        ...

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        """Append one record to the `_system` chain and return its number."""
        ...

    def records(
        self, incident_id: str, after: int = 0, most: int | None = None
    ) -> Sequence[Record]:
        """Read the records of one chain in order, from number `after` + 1, `most` at once."""
        ...

    def records_of(self, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        """Read several chains whole, in one go; one that has no record is absent."""
        ...

    def chain(self, incident_id: str) -> tuple[Sequence[Link], HeadMark | None]:
        """Read the stored bytes and hashes of a chain, and its head, as of one moment."""
        ...

    def incident_ids(self, *, live_only: bool = False) -> Sequence[str]:
        """List the incidents, oldest first."""
        ...

    def submit(self, request: Request) -> Request:
        """Put a request durably into the inbox. The same id again returns the first one."""
        ...

    def requests(self, incident_id: str) -> Sequence[Request]:
        """List the unanswered requests of one incident (or of `_system`), oldest first."""
        ...

    def waiting(self) -> Sequence[str]:
        """List the chains that have an unanswered request."""
        ...

    def answer(self, request_id: str, answer: Answer) -> None:
        """Record the answer. The first one counts."""
        ...

    def answer_of(self, request_id: str) -> Answer | None:
        """Return the answer, or None while there is none."""
        ...

    def lately_ended(self, now: datetime) -> Sequence[str]:
        """List the incidents that have ended and whose `due_at` is still to come, oldest first."""
        ...

    def actions_on(self, target: str, since: datetime) -> Sequence[LoggedAction]:
        """List a target's action log since then, and everything unsettled whatever its age."""
        ...

    def actions_since(self, since: datetime) -> Sequence[LoggedAction]:
        """List the action log of all targets since then, oldest first."""
        ...

    def kv(self, key: str) -> bytes | None:
        """Read one projection as it was last written; None where there is none."""
        ...

    def system_seq(self) -> int:
        """Give the number of the last record on the `_system` chain."""
        ...

    def unsigned_heads(self, key_id: str, most: int) -> Sequence[HeadMark]:
        """List heads (of `_system` too) that this key has not signed as they are now."""
        ...

    def put_signature(self, signed: SignedHead) -> None:
        """Keep a signature. The same one again changes nothing."""
        ...

    def signatures(self, incident_id: str) -> Sequence[SignedHead]:
        """List the signatures of one chain, lowest number first."""
        ...

    def put_blob(self, blob: SealedBlob) -> None:
        """Keep an entry of the audit store durably. The same digest again changes nothing."""
        ...

    def blob(self, digest: str) -> SealedBlob | None:
        """Read one entry of the audit store; None where there is none, or it was removed."""
        ...

    def prune_blobs(self, now: datetime) -> int:
        """Remove the entries whose time is over; return how many."""
        ...

    def put_change(self, change: Mapping[str, Any]) -> bool:
        """Keep a change of a service durably; False when its `id` is known already.

        `id` and `at` (RFC 3339) are there; the rest is kept as it is.
        """
        ...

    def changes_since(self, since: datetime, limit: int = 500) -> tuple[Mapping[str, Any], ...]:
        """Give the changes told since then, oldest first; of more than `limit`, the newest."""
        ...

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` when there may be something to do; return a function that ends this.

        Only a hint: it may come late, twice or never, from a thread of its own.
        """
        ...
