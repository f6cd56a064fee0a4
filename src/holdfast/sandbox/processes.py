"""Processes and their families, as the operating system knows them.

Rule: nothing of a sandbox outlives its owner. A process asks the kernel to be
killed with its parent where the kernel offers that (Linux), and the keeper finds
every descendant by asking the process table, never by a name.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if LINUX else None


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Ask the kernel to send us `sig` when the thread that started us ends. Linux only.

    The threads that start processes here are main threads (keeper, supervisord), so the thread
    is the process.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends. Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """Find every living or unreaped descendant of `pid`."""
    children = defaultdict(set)
    for child, parent in _parents().items():
        children[parent].add(child)
    found: set[int] = set()
    queue = [pid]
    while queue:
        for child in children[queue.pop()] - found:
            found.add(child)
            queue.append(child)
    return found


def started_at(pid: int) -> str | None:
    """A mark that changes when the pid is given to another process; None when there is none."""
    if LINUX:
        fields = _stat_fields(pid)
        return fields[19] if fields and fields[0] != "Z" else None
    answer = subprocess.run(
        ["/bin/ps", "-o", "lstart=,state=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return answer.rsplit(maxsplit=1)[0] if answer and not answer.endswith("Z") else None


def send(pid: int, sig: int) -> bool:
    """Signal a process; False when it is gone."""
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return False
    return True


def _parents() -> dict[int, int]:
    if not LINUX:
        return _parents_by_ps()
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))):
            table[int(entry.name)] = int(fields[1])
    return table


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command, which may hold spaces and brackets itself."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _parents_by_ps() -> dict[int, int]:
    rows = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {int(pid): int(parent) for pid, parent in (row.split() for row in rows)}
