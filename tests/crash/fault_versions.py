"""Two releases at work on one store while the newer one migrates it.

Workers of this release run on, are killed, and start again on the newer schema; and they meet records
of a kind that they have never heard of, which they keep.
"""

import random
from dataclasses import replace

from tests.crash.chaos import Chaos
from tests.crash.matrix import Case, Fault, Invariant, Outcome, Violation
from tests.crash.next_release import NUMBER, UNKNOWN_KIND, was_applied
from tests.crash.scene import Cast, staged
from tests.crash.witness import read_notes
from tests.crash.workers import NOTES

# One worker of each release.
BOTH = {"w0", "w2"}
_MORE_MOST = 25


def run(case: Case) -> Outcome:
    """Start with two of this release; one of the next joins, migrates, and all work on."""
    noise = random.Random(case.seed)
    with staged(case, Cast(workers=2, lease_s=0.8)) as scene:
        scene.detection.newer_kind = UNKNOWN_KIND
        scene.play(noise.uniform(0.2, 0.6))
        scene.bear(2, next_release=True)
        scene.play(0.7, Chaos(noise=noise, kills=2.0, restarts=1.0, places=(0, 1)))
        scene.bear_again(0)
        scene.play(0.4)
        # On a busy machine a worker may need longer before it has anything to write.
        for _ in range(_MORE_MOST):
            if _wrote(case) >= BOTH:
                break
            scene.play(0.4)
        scene.settle()
        outcome = scene.judge()
        migrated = was_applied(scene.store.url)
    wrote = _wrote(case)
    wrong = [] if migrated else [f"migration {NUMBER} was not applied"]
    if not wrote >= BOTH:
        wrong.append(f"not both releases were at work, only {', '.join(sorted(wrote))}")
    found = [Violation(invariant=Invariant.I7, incident_id="-", what=what) for what in wrong]
    return replace(outcome, violations=[*outcome.violations, *found])


def _wrote(case: Case) -> set[str]:
    notes = read_notes(case.directory / NOTES)
    return {note.worker.split(".")[0] for note in notes.acknowledged}


FAULT = Fault(
    name="versions",
    how="workers of two releases on one store while the newer one migrates it",
    stores=("sqlite", "postgres"),
    default=1,
    full=25,
    run=run,
)
