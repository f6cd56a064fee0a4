"""An engine in a process of its own, for the tests that kill it."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from holdfast.engine.crash_points import VARIABLE, CrashPoint
from holdfast.response.ports import ActionRequest, Repeatability
from tests.engine.engine_parts import LaterClock, Site, make_site
from tests.engine.marks import lose

# step: one incident with nothing in its way. lost: the reply to its first attempt is lost before
# there is an effect. takeover: what a dead worker left, once its lease is over. idle: an incident
# that is held and waits for longer than its lease.
SCENARIOS = ("step", "lost", "takeover", "idle")
COMPLAINTS = "complaints"


def live(point: CrashPoint | None, directory: str, kind: str, scenario: str) -> None:
    """Do as `main`, and die at this point."""
    complaints = os.open(Path(directory) / COMPLAINTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(complaints, 2)
    if point:
        os.environ[VARIABLE] = point.value
    main(directory, kind, scenario)


def main(directory: str, kind: str, scenario: str = "step", url: str | None = None) -> None:
    later = 60.0 if scenario == "takeover" else 0.0
    site = make_site(
        Path(directory),
        worker=f"w-{scenario}",
        clock=LaterClock(later),
        kind=Repeatability(kind),
        url=url,
        lease_s=0.3 if scenario == "idle" else 30.0,
        before=lose_first() if scenario == "lost" else lose if scenario == "idle" else nothing,
    )
    if scenario != "takeover":
        site.open()
    site.start()
    site.seen.until(lambda: site.seen.has("resolved")() or site.seen.has("held")())
    if scenario == "idle":
        wait_until_parked(site)
    site.close()


def nothing(_: ActionRequest) -> None:
    """Leave the action alone."""


def lose_first() -> Callable[[ActionRequest], None]:
    """Lose the first reply, before there is an effect."""
    lost: list[str] = []

    def maybe(request: ActionRequest) -> None:
        if not lost:
            lost.append(request.idempotency_key)
            lose(request)

    return maybe


def wait_until_parked(site: Site) -> None:
    """Wait until the engine has let go of everything."""
    pause = threading.Event()
    for _ in range(500):
        if not site.engine.cases:
            return
        pause.wait(0.02)
    raise AssertionError("it was not parked")
