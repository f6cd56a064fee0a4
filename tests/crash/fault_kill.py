"""kill -9 at a random moment: a worker dies while several incidents are under way, and its heirs too.

Each case is one to three lives on one store, each killed at a moment the seed chooses, then one that
is left alone until everything is at rest.
"""

import random
from dataclasses import replace

from holdfast.response.ports import Repeatability
from tests.crash.lives import born, killed_after, later, settled, staged
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.parts import SERVICES

# A note is about this long; an incident is acknowledged in about so many.
_NOTE_BYTES = 220
_NOTES = 14
_SOON_S = 0.004


def run(case: Case) -> Outcome:
    """Kill one to three workers after each other, then let one live."""
    rng = random.Random(case.seed)
    kind = list(Repeatability)[case.seed % len(Repeatability)]
    with staged(case, kind) as stage:
        services = SERVICES[: rng.randint(1, len(SERVICES))]
        life = replace(stage.first, opens=services, asks=rng.randint(0, 4))
        lives, size, kills = rng.choice((1, 1, 1, 2, 3)), 0, 0
        for number in range(lives):
            size += int(rng.uniform(0, _NOTES * len(services) / lives)) * _NOTE_BYTES
            kills += killed_after(born(life), life.notes, size, rng.uniform(0, _SOON_S))
            life = later(life, number + 2)
        found = settled(stage, life)
    return replace(found, counts={**found.counts, "kills": kills})


FAULT = Fault(
    name="kill",
    how="kill -9 of a worker with several incidents, at a random moment, up to three in a row",
    stores=("sqlite", "postgres"),
    default=40,
    full=5_000,
    run=run,
)
