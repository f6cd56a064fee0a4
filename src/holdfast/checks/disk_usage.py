"""Says whether the disks are full, in bytes or in inodes.

A path that isn't there could not be looked at. That is `unknown` and named,
never healthy: a mount that went away looks like an empty directory elsewhere.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.response.ports import CheckContext, CheckResult, Health


class DiskUsage:
    """Degraded above 90 % of a file system's bytes or inodes."""

    name = "disk_usage"

    def __init__(self, paths: Sequence[str], *, used_ratio_max: float = 0.9) -> None:
        self._paths = tuple(paths)
        self._used_ratio_max = used_ratio_max

    def run(self, context: CheckContext) -> CheckResult:
        readings = {path: _reading(path) for path in self._paths}
        full = [text for path, r in readings.items() for text in self._full(path, r)]
        unseen = [f"{path}: {r['error']}" for path, r in readings.items() if "error" in r]
        if full:
            status = Health.DEGRADED
        else:
            status = Health.UNKNOWN if unseen or not readings else Health.HEALTHY
        return CheckResult(
            name=self.name,
            status=status,
            summary="; ".join([*full, *unseen]) or _calm(readings),
            at=context.now,
            data={"paths": readings},
        )

    def _full(self, path: str, reading: Mapping[str, Any]) -> list[str]:
        kinds = (("bytes", "used_ratio"), ("inodes", "inodes_used_ratio"))
        return [
            f"{path}: {reading[key]:.1%} of {what} used (threshold {self._used_ratio_max:.0%})"
            for what, key in kinds
            if (reading.get(key) or 0.0) > self._used_ratio_max
        ]


def _reading(path: str) -> dict[str, Any]:
    try:
        usage = shutil.disk_usage(path)
        stat = os.statvfs(path)
    except OSError as error:
        return {
            "error": f"can't be looked at: {error.strerror or error};"
            " mount it, or correct `checks.disk.paths`"
        }
    # As `df` counts: what is reserved for root is neither used nor free.
    usable = usage.used + usage.free
    return {
        "total": usage.total,
        "free": usage.free,
        "used_ratio": round(usage.used / usable, 4) if usable else 0.0,
        # Some file systems make inodes as needed and report none.
        "inodes_used_ratio": round(1 - stat.f_favail / stat.f_files, 4) if stat.f_files else None,
    }


def _calm(readings: Mapping[str, Mapping[str, Any]]) -> str:
    if not readings:
        return "no path is configured; name some in `checks.disk.paths`"
    return "; ".join(f"{path}: {r['used_ratio']:.1%} used" for path, r in readings.items())
