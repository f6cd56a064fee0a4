"""Whatever people, workers, targets and clocks do in whatever order: the oracle never objects.

Hypothesis plays a commanded incident. The oracle is asked at every intent and every repeat, with
the world as it is at that moment (see `stage`), so an action that the guard would refuse then ends
the run. What is left to say here is what is true of the whole history. Seeds are printed;
`HOLDFAST_LONG=1` plays longer.
"""

import os
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unsafe.commanded import FIRST, MOVES, Commanded
from tests.unsafe.tally import SEEN

LONG = os.environ.get("HOLDFAST_LONG") == "1"

PLAYED = settings(
    max_examples=3000 if LONG else 100,
    stateful_step_count=60 if LONG else 25,
    derandomize=not LONG,
    print_blob=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SEEDS, MOVES_EACH = (5000, 120) if LONG else (120, 60)
ASKED = ("charter", "direct", "approve", "undo", "settle", "did", "handoff", "accept", "recall")
DONE = ("directed under a charter", "approved", "undone", "overridden", "repeated", "refused")


@pytest.mark.timeout(3600 if LONG else 60)
def test_nothing_is_ever_done_that_the_docs_forbid_at_that_moment() -> None:
    run_state_machine_as_test(Commanded, settings=PLAYED)


def played(seed: int) -> None:
    """Play one run by a seed. Left to itself Hypothesis plays short and simple ones."""
    rng, told = random.Random(seed), list[str]()
    machine = Commanded()
    machine.begin(**{name: rng.choice(options) for name, options in FIRST.items()})
    try:
        for _ in range(MOVES_EACH):
            name = rng.choice(sorted(MOVES))
            drawn = {n: rng.choice(options) for n, options in MOVES[name].items()}
            told.append(f"{name}({drawn})")
            getattr(machine, name)(**drawn)
        machine.teardown()
    except Exception as error:
        moves = "\n".join(told)
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{moves}") from error


@pytest.mark.timeout(3600 if LONG else 60)
def test_nor_in_long_runs_by_seeds() -> None:
    SEEN.clear()
    start = random.SystemRandom().randrange(1 << 30) if LONG else 0
    for seed in range(start, start + SEEDS):
        played(seed)

    # Had it never acted, nothing would have been judged.
    assert not [name for name in (*ASKED, *DONE) if not SEEN[name]], sorted(SEEN.items())
