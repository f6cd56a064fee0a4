"""How long a fresh process takes to hold what a killed one held.

Each was opened, diagnosed and intended, and has no outcome. The clock runs from the start of the
fresh process's work until every incident is claimed and folded and its step's doubt is durable.
Waiting for the leases to run out is not counted: that is a setting.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.ledger_parts.incidents import (
    CLOCK,
    LEASE_S,
    intent,
    journal_of,
    opened,
    reservation,
    seen,
)
from bench.ledger_parts.paired import ROOT
from bench.ledger_parts.postgres import Server
from bench.ledger_parts.stores import at_url, sqlite_url
from holdfast.engine.takeover import Takeover, uncollected
from holdfast.ledger import verify
from holdfast.response.store import Ledger

T = TypeVar("T")

BARS_S = {"sqlite": 2.0, "postgres": 3.0}
BARRED_SIZE = 10_000
SHORT_LEASE_S = 0.5
THREADS = 16


def fill(url: str, count: int) -> None:
    """Open `count` incidents, intend a step in each, then hold still until killed."""
    ledger = at_url(url)
    journal, system_seq = journal_of(ledger), ledger.system_seq()

    def work(share: int) -> None:
        for _ in range(share):
            case = opened(ledger, journal, proposed=1)
            journal.write(
                case,
                [intent(case.claim, 0)],
                reserve=reservation(case.claim.incident_id, 0),
                seen=seen(case.claim.incident_id, system_seq),
                lease_s=SHORT_LEASE_S,
            )

    shares = [len(range(number, count, THREADS)) for number in range(THREADS)]
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("filled", flush=True)
    signal.pause()


class Timed:
    """A ledger that notes how many seconds each of its parts in a takeover took."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.spent_s = {"claim_many": 0.0, "records_of": 0.0, "append_many": 0.0}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the ledger has
        method = getattr(self._ledger, name)
        return partial(self._timed, name, method) if name in self.spent_s else method

    def _timed(self, name: str, method: Callable[..., T], *arguments: object) -> T:
        start = time.perf_counter()
        result = method(*arguments)
        self.spent_s[name] += time.perf_counter() - start
        return result


def recover(url: str) -> dict[str, Any]:
    """Take over everything by the engine's own means: claim, read, fold, write the doubt."""
    cpu, start = time.process_time(), time.perf_counter()
    ledger = at_url(url)
    timed = Timed(ledger)
    same = cast("Ledger", timed)
    takeover = Takeover(
        ledger=same, journal=journal_of(same), clock=CLOCK, worker="fresh", lease_s=LEASE_S
    )
    cases, troubles, more = takeover.next()
    with uncollected():
        while more and not troubles:
            found, troubles, more = takeover.next()
            cases += found
    if troubles:
        raise SystemExit(troubles[0])
    took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    taken = [case.claim.incident_id for case in cases]
    _check(ledger, taken)
    start = time.perf_counter()
    whole = all(verify(ledger, incident_id).ok for incident_id in taken)
    verified_s = time.perf_counter() - start
    if not whole:
        raise SystemExit("a chain is not whole")
    ledger.close()
    rest = {"fold and decide": took_s - sum(timed.spent_s.values())}
    return {
        "taken": len(taken),
        "took_s": took_s,
        "cpu_s": cpu_s,
        "spent_s": timed.spent_s | rest,
        "verified_s": verified_s,
    }


def _check(ledger: Ledger, taken: Sequence[str]) -> None:
    """A takeover that left something out is none."""
    for incident_id in taken:
        found = json.loads(ledger.kv(f"incident:{incident_id}:checkpoint") or b"{}")
        if found["in_doubt"] != ["S1"]:
            raise SystemExit(f"the step of {incident_id} is not in doubt: {found}")


def measure(directory: Path, running: Server, sizes: Sequence[int]) -> dict[str, Any]:
    """Fill, kill and recover on both stores at each size."""
    found: dict[str, Any] = {}
    for size in sizes:
        for store in ("sqlite", "postgres"):
            url = running.fresh() if store == "postgres" else sqlite_url(directory, f"r{size}")
            result = _once(url, size)
            if size == BARRED_SIZE:
                result |= {"bar_s": BARS_S[store], "met": result["took_s"] <= BARS_S[store]}
            found[f"{store}, {size}"] = result
    return found


def _once(url: str, size: int) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench.ledger_parts.recovery"]
    filling = subprocess.Popen(
        [*argv, "fill", url, str(size)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert filling.stdout  # noqa: S101 - it was opened with a pipe
    said = filling.stdout.readline().strip()
    os.kill(filling.pid, signal.SIGKILL)
    filling.wait()
    if said != "filled":
        raise SystemExit("the incidents could not be made")
    time.sleep(2 * SHORT_LEASE_S)
    start = time.perf_counter()
    done = subprocess.run(
        [*argv, "recover", url], check=True, capture_output=True, text=True, cwd=ROOT
    )
    with_start_s = time.perf_counter() - start
    found: dict[str, Any] = json.loads(done.stdout)
    if found["taken"] != size:
        raise SystemExit(f"{found['taken']} of {size} incidents were taken over")
    # The process's start and imports count too, though not against the bar.
    found["with_start_s"] = with_start_s - found["verified_s"]
    return found


def main() -> None:
    what, url = sys.argv[1:3]
    if what == "fill":
        fill(url, int(sys.argv[3]))
    else:
        print(json.dumps(recover(url)))


if __name__ == "__main__":
    main()
