"""Workers that are stopped past their lease and go on as if nothing had been, and kill -9 among them.

Four of them race on one store. A paused worker wakes up between any two instructions, with a request
in its hands that somebody else may have answered for long.
"""

import random

from tests.crash.chaos import Chaos
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.scene import Cast, staged


def run(case: Case) -> Outcome:
    """Pause and kill four workers for so many seconds, then let everything come to rest."""
    chaos = Chaos(noise=random.Random(case.seed), pauses=1.5, kills=0.7, restarts=0.1)
    cast = Cast(progress_s=30.0 if (case.seconds or 0) > 60 else 0.0)
    with staged(case, cast) as scene:
        scene.play(case.seconds or 10.0, chaos)
        scene.settle()
        return scene.judge()


FAULT = Fault(
    name="pause",
    how="SIGSTOP past the lease and kill -9, four workers racing",
    stores=("sqlite", "postgres"),
    default=10,
    full=1800,
    unit="seconds",
    run=run,
    alone=True,
)
