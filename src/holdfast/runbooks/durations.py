"""Durations as people write them: `30s`, `5m`, or a number of seconds.

Recovery criteria use the same words, so there is one reader for both.
"""

import math
import re

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)", re.ASCII)


def parse_duration(value: object) -> float:
    """Read a duration in seconds. Raises ValueError with the fact and what to write instead."""
    if isinstance(value, bool):
        raise ValueError(_complaint(value))
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(_complaint(value))
        seconds = float(found[1]) * UNITS_S[found[2]]
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(_complaint(value))
    return seconds


def _complaint(value: object) -> str:
    return f"{value!r} is no duration; write for example 30s, 5m or a number of seconds"


def format_duration(seconds: float) -> str:
    """Write seconds so that a person reads them at once: `45 s`, `1.5 s`, `10 min`, `2 h`."""
    for unit_s, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:g} {name}"
    return f"{round(seconds, 2):g} s"
