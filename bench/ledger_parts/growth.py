"""What grows with an incident's length: the checkpoint's cost, an append's cost, memory.

A worker appends to one incident until it has 100,000 records and says on the way how much memory
it holds; readers come after. The checkpoint of the long incident should cost what that of a short
one costs.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.ledger_parts.incidents import AT, LEASE_S, journal_of, opening
from bench.ledger_parts.paired import ROOT, quartiles
from bench.ledger_parts.postgres import Server
from bench.ledger_parts.stores import at_url, sqlite_url
from holdfast.engine.case import Case
from holdfast.engine.journal import Journal
from holdfast.incident import Draft, Kind, State, fold
from holdfast.response.store import Ledger

PER_COMMIT = 100
ROUNDS = 15
READS = 200
APPENDS = 3


def _checks(number: int) -> Draft:
    """A record that says something new and leaves the incident as long as it was."""
    result = {"status": "degraded", "summary": f"look number {number}", "at": AT}
    data = {"purpose": "step", "results": {"http_health": result}}
    return Draft(kind=Kind.CHECKS_RECORDED, data=data)


def _opened(ledger: Ledger, journal: Journal) -> Case:
    claim = ledger.open_incident("bench", LEASE_S)
    case = Case(claim=claim, state=State(incident_id=claim.incident_id))
    journal.write(case, opening(claim.incident_id))
    return case


def _extend(journal: Journal, case: Case, to: int) -> None:
    while (missing := to - case.claim.seq) > 0:
        journal.write(case, [_checks(case.claim.seq + n) for n in range(min(missing, PER_COMMIT))])


def rss_bytes() -> int:
    """Give the memory that this process holds now (Linux), or the most it ever held."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def write_long(url: str, most: int) -> dict[str, Any]:
    """Append to one incident; give the memory held at each tenth of the way."""
    ledger = at_url(url)
    journal = journal_of(ledger)
    case, held = _opened(ledger, journal), []
    for tenth in range(1, 11):
        _extend(journal, case, most * tenth // 10)
        held.append(rss_bytes())
    ledger.release(case.claim)
    ledger.close()
    return {"incident_id": case.claim.incident_id, "rss_bytes": held}


def read_long(url: str, incident_id: str) -> dict[str, Any]:
    """Read the checkpoint, then the whole chain; give the memory held after each."""
    ledger = at_url(url)
    before = rss_bytes()
    ledger.kv(f"incident:{incident_id}:checkpoint")
    checkpoint = rss_bytes()
    start = time.perf_counter()
    records = ledger.records(incident_id)
    state = fold(records, incident_id)
    took_s = time.perf_counter() - start
    whole = rss_bytes()
    return {
        "before_bytes": before,
        "checkpoint_bytes": checkpoint,
        "whole_chain_bytes": whole,
        "whole_chain_s": took_s,
        "records": state.seq,
    }


def compare(url: str, most: int) -> dict[str, Any]:
    """Time the checkpoint and one append at each size, in turns."""
    ledger = at_url(url)
    journal = journal_of(ledger)
    sizes = (10, 1_000, most)
    # An append lengthens the short ones noticeably: those get a fresh incident in each round.
    cases = {size: [_grown(ledger, journal, size)] for size in sizes}
    cases[10] += [_grown(ledger, journal, 10) for _ in range(ROUNDS - 1)]
    reads: dict[int, list[float]] = {size: [] for size in sizes}
    appends: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(ROUNDS):
        for size in sizes:
            case = cases[size][number % len(cases[size])]
            key = f"incident:{case.claim.incident_id}:checkpoint"
            reads[size].append(_each_us(READS, lambda key=key: ledger.kv(key)))  # type: ignore[misc]
            write = lambda case=case: journal.write(case, [_checks(0)])  # noqa: E731
            appends[size].append(_each_us(APPENDS, write))
    ledger.close()
    return {"checkpoint": _told(reads), "append": _told(appends)}


def _grown(ledger: Ledger, journal: Journal, size: int) -> Case:
    case = _opened(ledger, journal)
    _extend(journal, case, size)
    return case


def _each_us(times: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times * 1e6


def _told(seen: dict[int, list[float]]) -> dict[str, Any]:
    short = seen[10]
    return {
        str(size): {
            "us": quartiles(values),
            "ratio_to_10": quartiles(
                [value / ten for value, ten in zip(values, short, strict=True)]
            ),
        }
        for size, values in seen.items()
    }


def measure(directory: Path, running: Server, most: int) -> dict[str, Any]:
    """Measure growth on both stores."""
    found: dict[str, Any] = {"records": most}
    for store in ("sqlite", "postgres"):
        url = running.fresh() if store == "postgres" else sqlite_url(directory, "growth")
        written = _program("write", url, str(most))
        read = _program("read", url, written["incident_id"])
        compared = _program("compare", url, str(most))
        found[store] = {"worker": written["rss_bytes"], "reader": read, **compared}
    return found


def _program(*argv: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.ledger_parts.growth", *argv],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(argv: Sequence[str]) -> None:
    match argv:
        case ["write", url, most]:
            found = write_long(url, int(most))
        case ["read", url, incident_id]:
            found = read_long(url, incident_id)
        case [_, url, most]:
            found = compare(url, int(most))
        case _:
            raise SystemExit("write URL MOST, read URL INCIDENT or compare URL MOST")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
