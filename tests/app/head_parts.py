"""An installation's directory with a ledger, keepers of heads on it, and a receiver of theirs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.app.head_receivers import Receiver, ReceiverError
from holdfast.app.heads import HeadKeeper, open_signer
from holdfast.app.verifying import Proof, verify_here
from holdfast.kernel import ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.response.store import Claim
from tests.ledger.ledger_parts import START, batch, opened


@dataclass(slots=True)
class Place:
    """An installation's directory with a ledger, and keepers on it."""

    directory: Path
    ledger: SqliteLedger
    clock: ManualClock
    trouble: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.directory / "holdfast.db"

    def keeper(self, *receivers: Receiver, beside: Callable[[], None] = lambda: None) -> HeadKeeper:
        return HeadKeeper(
            directory=self.directory,
            ledger=self.ledger,
            signer=open_signer(self.directory),
            clock=self.clock,
            every_s=60.0,
            to=receivers,
            on_trouble=self.trouble.append,
            on_notice=self.notices.append,
            beside=beside,
        )

    def signed_to(self, incident_id: str) -> int | None:
        proof = Proof(self.directory)
        return verify_here(self.ledger, incident_id, proof).signed_up_to_seq

    def incident(self, records: int = 4) -> Claim:
        claim = opened(self.ledger)
        return self.ledger.append(batch(claim, records - 1))


@contextmanager
def place_in(directory: Path) -> Iterator[Place]:
    clock = ManualClock(START)
    ledger = SqliteLedger(directory / "holdfast.db", clock)
    yield Place(directory, ledger, clock)
    ledger.close()


@dataclass(slots=True)
class Fickle:
    """A receiver that can be down."""

    key: str = "test:1"
    shown: str = "a test's receiver"
    most: int = 2
    down: bool = False
    rows: list[str] = field(default_factory=list)

    def deliver(self, rows: Sequence[str]) -> None:
        if self.down:
            raise ReceiverError(f"{self.shown} is down")
        self.rows.extend(rows)

    @property
    def seqs(self) -> list[tuple[str, int]]:
        return [(h["incident_id"], h["seq"]) for h in map(json.loads, self.rows)]
