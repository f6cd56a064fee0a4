"""A worker dies at each named crash point, for each way in which an action can be repeated.

That the point was reached is asserted: a point that nothing reaches proves nothing. The undisturbed
heir must bring everything to rest.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from holdfast.engine.crash_points import IN_A_DOUBT, IN_A_STEP, CrashPoint
from holdfast.response.ports import Repeatability
from tests.crash.lives import Life, born, ended, later, settled, staged
from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.parts import SERVICES

_SHORT_LEASE_S = 20.0
_KILLED = -9


def combinations() -> Sequence[tuple[CrashPoint, Repeatability]]:
    """List what can be reached: only what may be redone is ever repeated."""
    return [
        (point, kind)
        for point in CrashPoint
        for kind in Repeatability
        if point is not CrashPoint.AFTER_REPEAT or kind.may_be_redone
    ]


def run(case: Case) -> Outcome:
    """Die at one point, and let another worker go on."""
    rng = random.Random(case.seed)
    every = combinations()
    point, kind = every[case.seed % len(every)]
    with staged(case, kind) as stage:
        services = SERVICES[: rng.randint(1, len(SERVICES))]
        first = replace(stage.first, opens=services, asks=rng.randint(0, 3), loses_after=0.0)
        life = _dies(first, point)
        found = settled(stage, later(life, 9))
    return replace(found, counts={**found.counts, "deaths": 1})


def _dies(first: Life, point: CrashPoint) -> Life:
    """Lead a worker to a point and see it die there; return the life that ended last."""
    life = replace(first, crash_point=point.value)
    if point in IN_A_DOUBT:
        life = replace(life, loses_before=1.0)
    elif point is CrashPoint.AFTER_PARK:
        life = replace(life, loses_before=1.0, lease_s=_SHORT_LEASE_S, until_parked=True)
    elif point is CrashPoint.AFTER_CLAIM:
        _dies(first, CrashPoint.AFTER_INTENT)
        life = replace(later(first, 2), crash_point=point.value)
    elif point not in IN_A_STEP:
        raise ValueError(f"no worker is led to {point}; say here how it gets there")
    code = ended(born(life))
    if code != _KILLED:
        raise AssertionError(f"{point.value} was not reached: the worker ended with {code}")
    return life


FAULT = Fault(
    name="crash_points",
    how="a worker dies at each named point, for each repeatability of its action",
    stores=("sqlite", "postgres"),
    default=len(combinations()),
    full=len(combinations()),
    run=run,
)
