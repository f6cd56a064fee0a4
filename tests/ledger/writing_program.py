"""Writes records until it is killed or the disk is full, and says which ones are durable.

`writing_program.py FILE INCIDENTS [FILE_SIZE_MAX]`: one thread for each incident; a line
`INC-n SEQ` on stdout for each acknowledged record; what failed goes to stderr.
"""

import resource
import sys
import threading
from pathlib import Path

from holdfast.kernel import HoldfastError
from holdfast.ledger import SqliteLedger
from tests.ledger.ledger_parts import LEASE_S, batch, record

_SAY = threading.Lock()


def write(ledger: SqliteLedger) -> None:
    claim = ledger.open_incident("writer", LEASE_S)
    try:
        while True:
            claim = ledger.append(batch(claim, records=[record(claim, text="x" * 400)]))
            with _SAY:
                sys.stdout.write(f"{claim.incident_id} {claim.seq}\n")
                sys.stdout.flush()
    except HoldfastError as error:
        with _SAY:
            sys.stderr.write(f"{error.message}\n")


def main() -> None:
    path, incidents, *size = sys.argv[1:]
    ledger = SqliteLedger(Path(path))
    if size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size[0]), int(size[0])))
    threads = [threading.Thread(target=write, args=(ledger,)) for _ in range(int(incidents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
