"""The wall clock jumps an hour, forwards and backwards, while leases run by it.

Forwards, every lease has run out at once and all workers want everything; backwards, none seems to
end. Both may only cost time, at most as much as the clock was put back by: so at the end that time
has gone by.
"""

import random

from tests.crash.chaos import Chaos
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.scene import Cast, staged


def run(case: Case) -> Outcome:
    """Let the clock of the store and of all workers jump about; then it is right again."""
    chaos = Chaos(noise=random.Random(case.seed), jumps=6.0, pauses=1.0)
    with staged(case, Cast(workers=3, lease_s=0.8, jumps=True)) as scene:
        scene.play(0.6, chaos)
        scene.settle()
        return scene.judge()


FAULT = Fault(
    name="clock",
    how="the wall clock jumps by an hour, both ways",
    stores=("sqlite", "postgres"),
    default=5,
    full=100,
    run=run,
)
