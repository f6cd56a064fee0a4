"""Notes outside of the store what the store acknowledged: that is what may never be lost.

A note is one line, appended with a single write as soon as the append has returned. A worker that
dies before it noted was never told, so nothing is promised to anybody.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from holdfast.kernel import Actor
from holdfast.ledger.encode import chain_on
from holdfast.response.store import Batch, Claim, Ledger, Request
from tests.crash.checker import Accepted, Acknowledged, Claimed

Noted = Acknowledged | Accepted | Claimed
Note = Callable[[Noted], None]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A ledger that tells `note` of everything it acknowledges; all else is the ledger's."""

    ledger: Ledger
    note: Note
    stamp: Callable[[], float] = time.monotonic

    def append(self, batch: Batch) -> Claim:
        began = self.stamp()
        claim = self.ledger.append(batch)
        self._appended(batch, began)
        return claim

    def append_many(self, batches: Sequence[Batch]) -> Sequence[Claim | Exception]:
        began = self.stamp()
        results = self.ledger.append_many(batches)
        for batch, result in zip(batches, results, strict=True):
            if isinstance(result, Claim):
                self._appended(batch, began)
        return results

    def claim_many(self, owner: str, lease_s: float, most: int) -> Sequence[Claim]:
        claims = self.ledger.claim_many(owner, lease_s, most)
        for claim in claims:
            self._claimed(claim)
        return claims

    def claim_one(self, incident_id: str, owner: str, lease_s: float) -> Claim | None:
        claim = self.ledger.claim_one(incident_id, owner, lease_s)
        if claim is not None:
            self._claimed(claim)
        return claim

    def _claimed(self, claim: Claim) -> None:
        self.note(
            Claimed(
                incident_id=claim.incident_id,
                fence=claim.fence,
                worker=claim.owner,
                at=self.stamp(),
            )
        )

    def append_system(self, kind: str, data: Mapping[str, Any], actor: Actor, at: datetime) -> int:
        return self.ledger.append_system(kind, data, actor, at)

    def submit(self, request: Request) -> Request:
        kept = self.ledger.submit(request)
        text = request.data.get("text") if request.kind == "note" else None
        self.note(Accepted(id=request.id, incident_id=request.incident_id, text=text))
        return kept

    def _appended(self, batch: Batch, began: float) -> None:
        for link in chain_on(batch.claim, batch.records)[1]:
            self.note(
                Acknowledged(
                    incident_id=link.incident_id,
                    seq=link.seq,
                    hash=link.hash.hex(),
                    worker=batch.claim.owner,
                    fence=batch.claim.fence,
                    at=self.stamp(),
                    began=began,
                )
            )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the ledger has
        return getattr(self.ledger, name)


def witnessed(ledger: Ledger, note: Note, stamp: Callable[[], float] = time.monotonic) -> Ledger:
    """Put a witness before a ledger."""
    return cast("Ledger", Witnessed(ledger, note, stamp))


def noting(acknowledged: list[Acknowledged]) -> Note:
    """Give a note-taker that adds acknowledgements to a list."""

    def note(one: Noted) -> None:
        if isinstance(one, Acknowledged):
            acknowledged.append(one)

    return note


def note_in(path: Path) -> Note:
    """Give a note-taker that appends to a file, whole lines only, from any process."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(one: Noted) -> None:
        os.write(file, json.dumps([type(one).__name__, asdict(one)]).encode() + b"\n")

    return note


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What several workers noted, in the order in which they wrote it down."""

    acknowledged: Sequence[Acknowledged] = ()
    accepted: Sequence[Accepted] = ()
    claimed: Sequence[Claimed] = ()


def sorted_out(notes: Sequence[Noted]) -> Notes:
    """Sort notes by what they are of."""
    return Notes(
        acknowledged=[note for note in notes if isinstance(note, Acknowledged)],
        accepted=[note for note in notes if isinstance(note, Accepted)],
        claimed=[note for note in notes if isinstance(note, Claimed)],
    )


def read_notes(path: Path) -> Notes:
    """Read the notes back."""
    kinds: Mapping[str, type[Noted]] = {
        kind.__name__: kind for kind in (Acknowledged, Accepted, Claimed)
    }
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sorted_out([kinds[name](**data) for name, data in map(json.loads, lines)])
