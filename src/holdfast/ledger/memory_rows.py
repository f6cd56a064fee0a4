"""The rows that the memory ledger keeps, and what an intent's second look finds in them.

The same questions as the SQL stores ask, in the same order and with the same
words, so that one contract suite can hold all three to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.ledger.chain import GENESIS
from holdfast.response.store import (
    SYSTEM_CHAIN,
    Batch,
    ChangedMeanwhileError,
    Claim,
    Link,
    Request,
    Reservation,
    SealedBlob,
    Seen,
    SignedHead,
)

# As the row of a store that has rows: id, at and data.
Change = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class IncidentRow:
    """One incident's place in the claim order, and where its chain ends."""

    id: str
    n: int
    fence: int = 0
    owner: str | None = None
    lease_until: float | None = None
    seq: int = 0
    head: bytes = GENESIS
    ended: bool = False
    due_at: float | None = None
    parked: bool = False

    def holds(self, claim: Claim) -> bool:
        return (self.fence, self.owner) == (claim.fence, claim.owner)

    def is_free(self, now: float) -> bool:
        return self.owner is None or (self.lease_until is not None and self.lease_until <= now)

    def take(self, owner: str, until: float) -> Claim:
        self.fence += 1
        self.owner, self.lease_until, self.parked = owner, until, False
        return Claim(
            incident_id=self.id, fence=self.fence, owner=owner, seq=self.seq, head=self.head
        )

    def let_go(self) -> None:
        self.owner = self.lease_until = None


@dataclass(slots=True, kw_only=True)
class LogRow:
    """One line of the action log."""

    reserve: Reservation
    incident_id: str
    at: float
    settled: bool = False


@dataclass(slots=True, kw_only=True)
class Tables:
    """Everything that a ledger holds."""

    incidents: dict[str, IncidentRow] = field(
        default_factory=lambda: {SYSTEM_CHAIN: IncidentRow(id=SYSTEM_CHAIN, n=0, ended=True)}
    )
    links: dict[str, list[Link]] = field(default_factory=dict)
    kv: dict[str, bytes] = field(default_factory=dict)
    inbox: dict[str, Request] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    log: dict[str, LogRow] = field(default_factory=dict)
    on_target: dict[str, list[LogRow]] = field(default_factory=dict)
    signatures: dict[tuple[str, int, str], SignedHead] = field(default_factory=dict)
    blobs: dict[str, SealedBlob] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    numbers: int = 0

    def open_requests(self, incident_id: str) -> list[Request]:
        return [
            request
            for request in self.inbox.values()
            if request.incident_id == incident_id and request.id not in self.answers
        ]

    def claimable(self, now: float) -> list[IncidentRow]:
        """List who may be taken: expired leases first, the oldest of them first."""
        found = [
            row
            for row in self.incidents.values()
            if not row.ended and row.seq > 0 and row.is_free(now) and self._is_due(row, now)
        ]
        return sorted(found, key=lambda r: (r.lease_until is None, r.lease_until or 0.0, r.n))

    def _is_due(self, row: IncidentRow, now: float) -> bool:
        if row.owner is not None or not row.parked:
            return True
        return (row.due_at is not None and row.due_at <= now) or bool(self.open_requests(row.id))

    def second_look(self, batch: Batch, seen: Seen, now: float) -> None:
        """Raise ChangedMeanwhileError when the grounds of an intent have changed."""
        if self.incidents[SYSTEM_CHAIN].seq != seen.system_seq:
            raise ChangedMeanwhileError("the installation's state (freeze, mode, tokens) changed")
        newest = max((r.n for r in self.open_requests(batch.claim.incident_id)), default=0)
        if newest > seen.inbox_n:
            raise ChangedMeanwhileError("a person's request arrived")
        if batch.reserve is not None:
            self._look_at_target(batch.reserve, seen, now)

    def _look_at_target(self, reserve: Reservation, seen: Seen, now: float) -> None:
        on_target = self.on_target.get(reserve.target, [])
        for row in on_target:
            if not row.settled and row.reserve.key != reserve.key:
                raise ChangedMeanwhileError(
                    f"step {row.reserve.step_id} of {row.incident_id} on {reserve.target} "
                    "has no outcome yet"
                )
        for limit in seen.limits:
            count = sum(
                row.reserve.action == limit.action and row.at > now - limit.window_s
                for row in self.on_target.get(limit.target, ())
            )
            if count + 1 > limit.most:
                raise ChangedMeanwhileError(
                    f"{limit.action} on {limit.target} was done {count} times in "
                    f"{limit.window_s:.0f} s"
                )
        age = min((now - row.at for row in on_target), default=None)
        if age is not None and age < seen.cooldown_s:
            raise ChangedMeanwhileError(f"{reserve.target} was acted on {age:.1f} s ago")
        if reserve.key in self.log:
            raise ChangedMeanwhileError(f"attempt {reserve.key} was intended before")

    def reserve(self, reserve: Reservation, incident_id: str, now: float) -> None:
        """Enter an attempt into the action log."""
        row = LogRow(reserve=reserve, incident_id=incident_id, at=now)
        self.log[reserve.key] = row
        self.on_target.setdefault(reserve.target, []).append(row)
