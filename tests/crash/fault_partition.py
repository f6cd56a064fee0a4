"""The line is cut after the request and before the reply: to the target, and to the store.

What was asked for is done and nobody was told. A few lines lose the request, deliver it late or fall
silent instead. SQLite has no line to the store, so there it is the target's alone.
"""

from tests.crash.matrix import Case, Fault, Outcome
from tests.crash.scene import Cast, staged


def run(case: Case) -> Outcome:
    """Hit a good part of the requests, on one line or on both."""
    links = [{"target"}, {"store"}, {"store", "target"}][case.seed % 3]
    if case.store == "sqlite":
        links = {"target"}
    cast = Cast(workers=2, lease_s=0.8, cut=frozenset(links))
    with staged(case, cast) as scene:
        scene.play(0.6)
        scene.settle()
        return scene.judge()


FAULT = Fault(
    name="partition",
    how="worker-store and worker-target cut after the request, before the reply",
    stores=("sqlite", "postgres"),
    default=10,
    full=250,
    run=run,
)
