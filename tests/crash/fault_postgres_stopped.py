"""PostgreSQL stopped hard in the middle of whatever it does, and started again.

A commit whose reply is lost may have landed or not: who asked has to find out and must not guess.
"""

import random

from tests.crash.chaos import Chaos
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.scene import Cast, staged


def run(case: Case) -> Outcome:
    """Stop the server once, at a moment from the seed, while two workers commit what they can."""
    chaos = Chaos(noise=random.Random(case.seed), db_stop_every_s=0.7, db_away_s=0.3)
    with staged(case, Cast(workers=2, lease_s=0.8)) as scene:
        scene.play(0.8, chaos)
        scene.settle()
        return scene.judge()


FAULT = Fault(
    name="postgres_stopped",
    how="PostgreSQL stopped as by `pg_ctl stop -m immediate` while it commits",
    stores=("postgres",),
    default=6,
    full=300,
    run=run,
    alone=True,
)
