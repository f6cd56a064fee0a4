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
    """Where the engine can die: while it takes a step, and while it takes over or lets go."""

    BEFORE_INTENT = "before_intent"
    AFTER_INTENT = "after_intent"
    AFTER_EFFECT = "after_effect"
    AFTER_OUTCOME = "after_outcome"
    BEFORE_VERDICT = "before_verdict"
    AFTER_VERDICT = "after_verdict"
    AFTER_DOUBT = "after_doubt"
    AFTER_PROBE = "after_probe"
    AFTER_REPEAT = "after_repeat"
    AFTER_CLAIM = "after_claim"
    AFTER_PARK = "after_park"


# What an undisturbed step passes, in this order.
IN_A_STEP = (
    CrashPoint.BEFORE_INTENT,
    CrashPoint.AFTER_INTENT,
    CrashPoint.AFTER_EFFECT,
    CrashPoint.AFTER_OUTCOME,
    CrashPoint.BEFORE_VERDICT,
    CrashPoint.AFTER_VERDICT,
)
# What a step passes in addition when the reply to its first attempt is lost.
IN_A_DOUBT = (CrashPoint.AFTER_DOUBT, CrashPoint.AFTER_PROBE, CrashPoint.AFTER_REPEAT)


def reach(point: CrashPoint) -> None:
    """Kill this process if it was started to die here."""
    if os.environ.get(VARIABLE) == point.value:
        os.kill(os.getpid(), signal.SIGKILL)
