"""The long run: `python -m tests.crash.storm --store postgres --seconds 1800 --seed N`.

Add `--pg-stop-every 20 --cut-links` for the hard one. It says every half minute how far it is, on
stderr, and at the end what it found, as JSON; it exits with 1 if any invariant was broken.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.crash.chaos import Chaos
from tests.crash.matrix import Case, Outcome
from tests.crash.scene import Cast, last_records, staged

_TOLD_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How hard it storms."""

    seconds: float
    pg_stop_every_s: float = 0.0
    cut_links: bool = False
    progress_s: float = 30.0


def storm(case: Case, weather: Weather) -> Outcome:
    """Play it, let it come to rest, and judge it; what is broken is told with its last records."""
    chaos = Chaos(
        noise=random.Random(case.seed), pauses=0.6, kills=0.4, restarts=0.03,
        db_stop_every_s=weather.pg_stop_every_s,
    )  # fmt: skip
    cut = frozenset({"target"} if weather.cut_links else ())
    cast = Cast(cut=cut, cut_shares={"target": 0.15}, per_action=3, progress_s=weather.progress_s)
    with staged(case, cast) as scene:
        scene.play(weather.seconds, chaos)
        scene.settle()
        outcome = scene.judge()
        for violation in outcome.violations[:_TOLD_MOST]:
            told = [str(violation)]
            if violation.incident_id in set(scene.ledger.incident_ids()):
                told += last_records(scene.ledger, violation.incident_id)
            print("\n  ".join(told), file=sys.stderr)  # noqa: T201
        return outcome


def main() -> int:
    """Run one storm as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="postgres")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--pg-stop-every", type=float, default=0.0, metavar="S")
    parser.add_argument("--cut-links", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory for what the processes noted")
    options = parser.parse_args()
    weather = Weather(
        seconds=options.seconds, pg_stop_every_s=options.pg_stop_every, cut_links=options.cut_links
    )
    with tempfile.TemporaryDirectory(prefix="hfstorm") as name:
        directory = options.keep or Path(name)
        directory.mkdir(parents=True, exist_ok=True)
        case = Case(seed=options.seed, store=options.store, directory=directory)
        outcome = storm(case, weather)
    found = Counter(violation.invariant.value for violation in outcome.violations)
    report = {
        "store": options.store, "seed": options.seed, "seconds": options.seconds,
        "violations": dict(found), **outcome.counts,
    }  # fmt: skip
    print(json.dumps(report))  # noqa: T201
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
