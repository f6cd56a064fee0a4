"""Runs a range of cases of one fault in this process, and says after each what came of it.

`python -m tests.crash.cases FAULT STORE FIRST COUNT [SECONDS]`: one line of JSON for each case on
stdout. Whoever asked may kill it at any line and go on from there later.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.matrix import Case, Fault, Outcome, faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one case came to, as plain data."""

    seed: int
    took_s: float
    violations: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def cases(
    fault: Fault, store: str, first: int, count: int, seconds: float | None = None
) -> Iterator[Result]:
    """Run `count` cases from seed `first` on; a timed fault is one case of `seconds`."""
    for seed in range(first, first + (1 if seconds is not None else count)):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="hf-", dir=_roomy()) as name:
            case = Case(seed=seed, store=store, directory=Path(name), seconds=seconds)
            outcome = fault.run(case)
        yield _result(seed, outcome, time.monotonic() - began)


def _result(seed: int, outcome: Outcome, took_s: float) -> Result:
    said = [str(violation) for violation in outcome.violations]
    return Result(seed=seed, took_s=took_s, violations=said, counts=outcome.counts)


def _roomy() -> str | None:
    """In memory where that is possible: what is lost with the power is simulated, not tried."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def as_line(result: Result) -> str:
    """Write a result as one line of JSON."""
    data: dict[str, Any] = {
        "seed": result.seed,
        "took_s": round(result.took_s, 4),
        "violations": list(result.violations),
        "counts": dict(result.counts),
    }
    return json.dumps(data)


def main(argv: Sequence[str]) -> None:
    name, store, first, count, *seconds = argv
    fault = faults()[name]
    lasts = float(seconds[0]) if seconds else None
    for result in cases(fault, store, int(first), int(count), lasts):
        sys.stdout.write(as_line(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
