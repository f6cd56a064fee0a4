"""Says whether the disks are full, in bytes or in inodes.

A directory with a limit of its own is measured by what lies below it, whatever room its file
system has. A path that isn't there could not be looked at. That is `unknown` and named,
never healthy: a mount that went away looks like an empty directory elsewhere.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checks.tree_size import tree_size
from holdfast.response.ports import CheckContext, CheckResult, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPath:
    """One path; with `limit_bytes` it is a directory whose owner limits what lies below it."""

    path: str
    limit_bytes: int | None = None
    service: str | None = None


class DiskUsage:
    """Degraded above 90 % of a file system's bytes or inodes, or of a directory's own limit."""

    name = "disk_usage"

    def __init__(self, paths: Sequence[DiskPath | str], *, used_ratio_max: float = 0.9) -> None:
        self._paths = tuple(DiskPath(path=p) if isinstance(p, str) else p for p in paths)
        self._used_ratio_max = used_ratio_max

    def run(self, context: CheckContext) -> CheckResult:
        readings = {place.path: _reading(place) for place in self._paths}
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
        limited = " of its limit" if "limit_bytes" in reading else ""
        return [
            f"{path}: {reading[key]:.1%} of {what} used{limited}"
            f" (threshold {self._used_ratio_max:.0%}){_mostly(reading)}"
            for what, key in kinds
            if (reading.get(key) or 0.0) > self._used_ratio_max
        ]


def _reading(place: DiskPath) -> dict[str, Any]:
    try:
        seen = _file_system(place.path) if place.limit_bytes is None else _below(place)
    except OSError as error:
        seen = {
            "error": f"can't be looked at: {error.strerror or error};"
            " mount it, or correct `checks.disk.paths`"
        }
    return {**seen, "service": place.service} if place.service else seen


def _file_system(path: str) -> dict[str, Any]:
    usage = shutil.disk_usage(path)
    stat = os.statvfs(path)
    # As `df` counts: what is reserved for root is neither used nor free.
    usable = usage.used + usage.free
    return {
        "total": usage.total,
        "free": usage.free,
        "used_ratio": round(usage.used / usable, 4) if usable else 0.0,
        # Some file systems make inodes as needed and report none.
        "inodes_used_ratio": round(1 - stat.f_favail / stat.f_files, 4) if stat.f_files else None,
    }


def _below(place: DiskPath) -> dict[str, Any]:
    size = tree_size(place.path)
    limit = place.limit_bytes or 1
    return {
        "limit_bytes": limit,
        "used_bytes": size.bytes,
        "free": max(limit - size.bytes, 0),
        "used_ratio": round(size.bytes / limit, 4),
        "files": size.files,
        "unreadable": size.unreadable,
        "whole": size.whole,
        "largest": {"directory": size.largest, "bytes": size.largest_bytes},
    }


def _mostly(reading: Mapping[str, Any]) -> str:
    largest = reading.get("largest")
    if not largest or largest["directory"] is None:
        return ""
    return f", most of it in {largest['directory']} ({largest['bytes'] / 1e6:.1f} MB)"


def _calm(readings: Mapping[str, Mapping[str, Any]]) -> str:
    if not readings:
        return "no path is configured; name some in `checks.disk.paths`"
    return "; ".join(
        f"{path}: {'' if r.get('whole', True) else 'at least '}{r['used_ratio']:.1%} used"
        for path, r in readings.items()
    )
