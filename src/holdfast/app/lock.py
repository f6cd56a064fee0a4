"""One `serve` per installation directory.

The lock is the kernel's: it is freed when the process dies, however it dies, and leaves
nothing stale behind.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError, RefusedError

LOCK_NAME = "serve.lock"
_TRIES = 5
_PAUSE_S = 0.02


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the lock. Raises RefusedError while another process does."""
    path = directory / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadInputError(
            f"can't write {path}: {error.strerror}; `serve` needs a directory that it can write"
        ) from None
    try:
        if not _taken(lock):
            raise RefusedError(
                f"another `holdfast serve` (pid {_holder(lock)}) runs on {directory.resolve()}; "
                "stop it first, or use another --dir"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    """Take the lock; a command that only looks holds it for a moment, a `serve` for good."""
    clock, never = SystemClock(), threading.Event()
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            clock.wait(never, _PAUSE_S)
        else:
            return True
    return False


def is_serving(directory: Path) -> bool:
    """Say whether a `serve` runs on this directory."""
    try:
        lock = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who only look don't take each other for a `serve`.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _holder(lock: int) -> str:
    try:
        return os.pread(lock, 20, 0).decode().strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"
