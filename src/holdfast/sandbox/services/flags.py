"""Feature flags from a file in flagd's format, read where they are used.

Rule: the file is looked at on every use, so a change counts from the next order on. Of flagd's
format this knows what the platform uses: `state`, boolean `variants`, `defaultVariant`, and one
targeting rule, `fractional` with weighted variants, whose buckets are our own and not flagd's. A
flag that is DISABLED, not there or not understood is the code's default: off.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.sandbox.services.jsonlog import JsonLog

ENABLED = "ENABLED"


class Flags:
    """Answers for one flag file. A file that can't be read leaves the last answer that could."""

    def __init__(self, file: Path, log: JsonLog) -> None:
        self._file = file
        self._log = log
        self._seen: tuple[int, int] | None = None
        self._flags: Mapping[str, Any] = {}

    def is_on(self, name: str, key: str) -> bool:
        """Say whether a boolean flag is on for `key` (an order, a customer)."""
        try:
            seen = os.stat(self._file)  # noqa: PTH116 - Path.stat costs three times as much
            identity = (seen.st_ino, seen.st_mtime_ns)
            if identity != self._seen:
                self._flags = json.loads(self._file.read_bytes())["flags"]
                self._seen = identity
                self._log.info("flags read", file=str(self._file))
            return value(self._flags.get(name), name, key)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._log.warning("flag not read", flag=name, error=f"{type(error).__name__}: {error}")
            return False


def value(flag: Mapping[str, Any] | None, name: str, key: str) -> bool:
    """Evaluate one flag for a key. Raises LookupError, TypeError or AttributeError if broken."""
    if flag is None or flag["state"] != ENABLED:
        return False
    variant = flag["defaultVariant"]
    shares = flag.get("targeting", {}).get("fractional")
    if shares:
        variant = _drawn(shares, f"{name}{key}")
    return flag["variants"][variant] is True


def _drawn(shares: Sequence[Sequence[Any]], key: str) -> str:
    """Pick a variant by its weight; the same key always gets the same one."""
    left = zlib.crc32(key.encode()) % sum(int(weight) for _, weight in shares)
    for variant, weight in shares:
        left -= int(weight)
        if left < 0:
            return str(variant)
    return str(shares[-1][0])


def canary(percent: int) -> dict[str, Any]:
    """Write a boolean flag that is on for so many in a hundred."""
    return {
        "state": ENABLED,
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": {"fractional": [["on", percent], ["off", 100 - percent]]},
    }
