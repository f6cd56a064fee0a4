"""One `serve` per installation directory, one detector per database.

The lock of a directory is the kernel's, that of a database the server's: both are freed when
the process dies, however it dies, and leave nothing stale behind.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError, RefusedError
from holdfast.response.store import Ledger

LOCK_NAME = "serve.lock"
WORKERS_NAME = "worker.lock"
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


@contextmanager
def at_work(directory: Path) -> Iterator[None]:
    """Show that a worker is at work on this directory; any number of them may be.

    A directory that can't be written to only means that nobody sees it.
    """
    try:
        lock = os.open(directory / WORKERS_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        _taken(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def _taken(lock: int, how: int = fcntl.LOCK_EX) -> bool:
    """Take the lock; a command that only looks holds it for a moment, a `serve` for good."""
    clock, never = SystemClock(), threading.Event()
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
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


def is_worked_on(directory: Path) -> bool:
    """Say whether a `worker` is at work on this directory."""
    try:
        lock = os.open(directory / WORKERS_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _taken(lock)
    finally:
        os.close(lock)


class Detector(Protocol):
    """The right to open incidents: of all processes on one ledger, one has it."""

    def held(self) -> bool:
        """Say whether we have it now, and take it when it is free."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


@runtime_checkable
class SharedLedger(Protocol):
    """A ledger that several hosts use: it knows who works on it, a directory does not."""

    def somebody_works(self) -> bool:
        """Say whether a worker listens to it now."""
        ...

    def only_detector(self) -> Detector:
        """Give the lock that one detector holds."""
        ...


class _Alone:
    """A ledger in a file has one `serve`: the lock of its directory saw to that."""

    def held(self) -> bool:
        return True

    def release(self) -> None:
        return None


def detector_of(ledger: Ledger) -> Detector:
    """Give the right to open incidents on this ledger; `held` says whether we have it."""
    return ledger.only_detector() if isinstance(ledger, SharedLedger) else _Alone()


def somebody_works(directory: Path, ledger: Ledger) -> bool:
    """Say whether anybody would answer a request now."""
    if isinstance(ledger, SharedLedger):
        return ledger.somebody_works()
    return is_serving(directory) or is_worked_on(directory)


def _holder(lock: int) -> str:
    try:
        return os.pread(lock, 20, 0).decode().strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"
