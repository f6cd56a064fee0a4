"""What the tests of the ledger share: batches, intents, requests, a program that writes."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.incident import Record
from holdfast.kernel import SYSTEM
from holdfast.ledger import SqliteLedger
from holdfast.response.store import (
    Batch,
    Claim,
    Ledger,
    LimitCheck,
    Link,
    Request,
    Reservation,
    Seen,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_OFF = datetime(2200, 1, 1, tzinfo=UTC)
LEASE_S = 30.0
Passing = Callable[[float], None]
ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("writing_program.py")


def record(claim: Claim, offset: int = 1, **data: object) -> Record:
    """Make the record that comes `offset` after the claim's last one."""
    return Record(
        incident_id=claim.incident_id, seq=claim.seq + offset, kind="note", at=START, data=data
    )


def batch(claim: Claim, count: int = 1, **more: Any) -> Batch:  # noqa: ANN401 - any field of Batch
    """Make a batch of `count` notes with a projection that names the last one."""
    key = f"incident:{claim.incident_id}:status"
    fields: dict[str, Any] = {
        "claim": claim,
        "records": [record(claim, n, text=f"note {n}") for n in range(1, count + 1)],
        "project": lambda head: {key: {"seq": claim.seq + count, "head": head.hex()[:6]}},
        "at": START,
        "lease_s": LEASE_S,
    }
    return Batch(**fields | more)


def opened(ledger: Ledger, owner: str = "w-1", *, lease_s: float = LEASE_S) -> Claim:
    """Open an incident with one record."""
    claim = ledger.open_incident(owner, lease_s)
    return ledger.append(batch(claim, lease_s=lease_s))


def seen(
    ledger: Ledger,
    claim: Claim,
    *,
    limits: tuple[LimitCheck, ...] = (),
    cooldown_s: float = 0.0,
) -> Seen:
    """Look at what the guard looks at, as it is now."""
    waiting = ledger.requests(claim.incident_id)
    return Seen(
        system_seq=ledger.system_seq(),
        inbox_n=max((request.n for request in waiting), default=0),
        limits=limits,
        cooldown_s=cooldown_s,
    )


def intent(claim: Claim, looked: Seen, *, target: str = "shop@east", attempt: int = 1) -> Batch:
    """Make the batch of an intent to restart `target`."""
    reservation = Reservation(
        key=f"{claim.incident_id}/S1/{attempt}",
        step_id="S1",
        attempt=attempt,
        action="restart_service",
        target=target,
    )
    return batch(claim, reserve=reservation, seen=looked)


def request(incident_id: str, name: str = "r-1", **data: object) -> Request:
    return Request(
        id=name, n=0, incident_id=incident_id, kind="hold", actor=SYSTEM, data=data, at=START
    )


def claim_next(ledger: Ledger, owner: str = "w-2", lease_s: float = LEASE_S) -> Claim | None:
    """Claim one incident, whichever comes first."""
    return next(iter(ledger.claim_many(owner, lease_s, 1)), None)


def bodies(ledger: Ledger, incident_id: str) -> Sequence[Link]:
    """Read a chain as it is stored."""
    return ledger.chain(incident_id)[0]


def seqs(records: Sequence[Record]) -> list[int]:
    return [one.seq for one in records]


def program(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Give argv and environment of the writing program."""
    return [sys.executable, str(PROGRAM), *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(slots=True)
class Stopped:
    """A writer that stands still until `go`, so that what is handed in piles up."""

    ledger: SqliteLedger
    began: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int) -> None:
        """Return once `count` pieces are waiting behind the writer."""
        deadline = time.monotonic() + 10
        while len(self.ledger._writer._waiting) < count:
            assert time.monotonic() < deadline, "the pieces never arrived"
            time.sleep(0)

    def go(self) -> None:
        self.gone.set()


@contextmanager
def writer_stopped(ledger: SqliteLedger) -> Iterator[Stopped]:
    """Keep the writer busy until `go` is called, or the block ends."""
    stopped = Stopped(ledger)

    def stand(_: object) -> None:
        stopped.began.set()
        stopped.gone.wait(10)

    thread = threading.Thread(target=ledger._writer.run, args=(stand,))
    thread.start()
    assert stopped.began.wait(10)
    try:
        yield stopped
    finally:
        stopped.go()
        thread.join()


def count_commits(ledger: SqliteLedger) -> list[None]:
    """Give a list that grows by one with each commit."""
    commits: list[None] = []

    def count() -> bool:
        commits.append(None)
        return False

    ledger._writing.set_commit_hook(count)
    return commits
