"""The disk is full: the file can't grow any more while several incidents are under way.

The append fails clearly, no action runs without its intent, nothing that was acknowledged is lost;
once there is room again, another worker goes on.
"""

import random
from dataclasses import replace

from holdfast.response.ports import Repeatability
from tests.crash.lives import AT_REST, FAILED, STOPPED, born, ended, later, settled, staged
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.parts import SERVICES

_EMPTY_BYTES, _FULL_BYTES = 130_000, 450_000


def run(case: Case) -> Outcome:
    """Let a worker run into the end of the disk, then give room to another."""
    rng = random.Random(case.seed)
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    with staged(case, kind) as stage:
        life = replace(
            stage.first,
            opens=SERVICES,
            asks=rng.randint(0, 4),
            file_size_most=rng.randint(_EMPTY_BYTES, _FULL_BYTES),
        )
        code = ended(born(life))
        if code not in {AT_REST, FAILED, STOPPED}:
            raise AssertionError(f"the worker on a full disk ended with {code}")
        found = settled(stage, later(life, 2))
    return replace(found, counts={**found.counts, "ran_full": int(code != AT_REST)})


FAULT = Fault(
    name="full_disk",
    how="RLIMIT_FSIZE: no file may grow beyond a size that is reached in the middle of the work",
    stores=("sqlite",),
    default=2,
    full=50,
    run=run,
)
