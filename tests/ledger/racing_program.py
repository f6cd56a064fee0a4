"""One of several workers on one file: claims, writes who it is, gives back, until all is written.

`racing_program.py FILE OWNER RECORDS`: each incident is to have so many records.
"""

import sys
from pathlib import Path

from holdfast.ledger import SqliteLedger
from holdfast.response.store import Claim
from tests.ledger.ledger_parts import LEASE_S, batch, record


def work(ledger: SqliteLedger, owner: str, wanted: int) -> None:
    while ledger.incident_ids(live_only=True):
        for claim in ledger.claim_many(owner, LEASE_S, 2):
            ledger.release(written(ledger, claim, wanted))


def written(ledger: SqliteLedger, claim: Claim, wanted: int) -> Claim:
    """Write up to five records, the last of which ends the incident."""
    for _ in range(5):
        note = record(claim, owner=claim.owner, fence=claim.fence)
        ended = note.seq >= wanted
        claim = ledger.append(batch(claim, records=[note], ended=ended))
        if ended:
            break
    return claim


def main() -> None:
    path, owner, wanted = sys.argv[1:]
    ledger = SqliteLedger(Path(path))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()  # so that all begin at once
    work(ledger, owner, int(wanted))
    ledger.close()


if __name__ == "__main__":
    main()
