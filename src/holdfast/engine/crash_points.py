"""Named places where a test may kill the engine.

A crash point costs one comparison. Each is reached at one place only, so that a
test can prove that every one was tried. The process is killed, not unwound: no
handler may save it.
"""

import os
import signal
from enum import StrEnum

VARIABLE = "HOLDFAST_CRASH_POINT"


class CrashPoint(StrEnum):
    """Where the engine can die while it takes a step."""

    BEFORE_INTENT = "before_intent"
    AFTER_INTENT = "after_intent"
    AFTER_EFFECT = "after_effect"
    AFTER_OUTCOME = "after_outcome"


def reach(point: CrashPoint) -> None:
    """Kill this process if it was started to die here."""
    if os.environ.get(VARIABLE) == point.value:
        os.kill(os.getpid(), signal.SIGKILL)
