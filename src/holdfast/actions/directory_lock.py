"""Holds the lock of a directory, so that two workers, or a late one, can't change it at once.

A `flock`: it goes when its holder dies. Whoever deploys or edits by hand can take the same lock.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import HoldfastError

LOCK = ".lock"
LOCK_POLL_S = 0.01


class LockBusyError(HoldfastError):
    """Somebody else holds the directory's lock. This call changed nothing."""


@contextmanager
def locked(directory_fd: int, shown: Path, timeout_s: float, clock: Clock) -> Iterator[None]:
    """Hold the lock of an open directory. Raises LockBusyError when it can't be had in time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(LOCK, flags, 0o644, dir_fd=directory_fd)
    try:
        _lock(fd, shown, timeout_s, clock)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, shown: Path, timeout_s: float, clock: Clock) -> None:
    until = clock.monotonic() + timeout_s
    never = threading.Event()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if clock.monotonic() >= until:
                raise LockBusyError(
                    f"{shown / LOCK} is held by someone else for {timeout_s:g} s;"
                    " a deploy or another worker is at it"
                ) from None
            clock.wait(never, LOCK_POLL_S)
