"""Reads what Linux says of a process in /proc: memory, open files, threads, time, state.

Only what is there: each figure that this user may not see, or that this kernel does not have,
is None. Elsewhere than on Linux nothing can be said at all.
"""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
_CHILDREN_MAX = 200
# Places in /proc/PID/stat, counted from the state, which follows the name in parentheses.
_STATE, _UTIME, _STIME, _THREADS, _STARTED = 0, 11, 12, 17, 19


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process, its memory with that of its children."""

    pid: int
    state: str
    memory_bytes: int
    processes: int
    memory_limit_bytes: int | None
    open_files: int | None
    open_files_max: int | None
    threads: int
    cpu_s: float
    age_s: float


def read_process(pid: int) -> ProcessFacts:
    """Read one process. Raises OSError where it or /proc is not there."""
    fields = _stat(pid)
    ticks = os.sysconf("SC_CLK_TCK")
    uptime_s = float((PROC / "uptime").read_text().split()[0])
    family = _family(pid)
    return ProcessFacts(
        pid=pid,
        state=fields[_STATE],
        memory_bytes=sum(_resident(each) for each in family),
        processes=len(family),
        memory_limit_bytes=_memory_limit(pid),
        open_files=_open_files(pid),
        open_files_max=_open_files_max(pid),
        threads=int(fields[_THREADS]),
        cpu_s=round((int(fields[_UTIME]) + int(fields[_STIME])) / ticks, 2),
        age_s=round(max(uptime_s - int(fields[_STARTED]) / ticks, 0.0), 1),
    )


def _stat(pid: int) -> list[str]:
    # The name may hold spaces and parentheses; the last one ends it.
    return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _family(pid: int) -> list[int]:
    """List a process and all that descend from it."""
    found, waiting = list[int](), [pid]
    while waiting and len(found) < _CHILDREN_MAX:
        each = waiting.pop()
        found.append(each)
        waiting += _children(each)
    return found


def _children(pid: int) -> list[int]:
    try:
        lists = [task / "children" for task in (PROC / str(pid) / "task").iterdir()]
        return [int(child) for path in lists for child in path.read_text().split()]
    except OSError:  # it ended meanwhile, or this kernel keeps no such lists
        return []


def _resident(pid: int) -> int:
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError):  # it ended meanwhile; a zombie has no memory
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _memory_limit(pid: int) -> int | None:
    """Find the tightest memory.max of its control groups (cgroup v2)."""
    try:
        lines = (PROC / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    inside = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if inside is None:
        return None
    group = CGROUPS / inside.lstrip("/")
    limits = [_number(place / "memory.max") for place in (group, *group.parents)]
    return min((limit for limit in limits if limit is not None), default=None)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _open_files(pid: int) -> int | None:
    try:
        return sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
    except OSError:  # another user's
        return None


def _open_files_max(pid: int) -> int | None:
    try:
        lines = (PROC / str(pid) / "limits").read_text().splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith("Max open files")), [])
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else None  # noqa: PLR2004
