"""Runs one program: no shell, no terminal, almost no environment, and nothing of it left behind.

It has a session of its own, so that what it started is ended with it; only a daemon, which makes a
session of its own, outlives it. What it writes is kept up to a bound and read on beyond it, so that
a program that talks a lot does not stand still.
"""

import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdfast.actions.supervisord import Deadline
from holdfast.kernel.clock import Clock

OUTPUT_BYTES_MAX = 64 * 1024
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_S = 0.01
# Between being asked to end and being ended. Less than the engine waits beyond a step's time.
GRACE_S = 0.5
_READ_BYTES = 65536
_LAST_READS_MAX = 64


class NotRunError(Exception):
    """The program was certainly not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended. `code` is negative for a signal, None where its time was over."""

    code: int | None
    output: str


def run(
    argv: Sequence[str], *, environment: Mapping[str, str], cwd: str, timeout_s: float, clock: Clock
) -> Ended:
    """Run a program to its end, or to the end of its time. Raises NotRunError."""
    deadline = Deadline.after(clock, timeout_s)
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": cwd, **environment},
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotRunError(f"{argv[0]} could not be started: {error}") from error
    kept = _Tail()
    try:
        in_time = _followed(child, kept, deadline, clock)
        if not in_time:
            _signal(child, signal.SIGTERM)
            _followed(child, kept, Deadline.after(clock, GRACE_S), clock)
    finally:
        # It and all that it started, however it went: its number is still its own.
        _signal(child, signal.SIGKILL)
        code = child.wait()
        if child.stdout:
            child.stdout.close()
    return Ended(code=code if in_time else None, output=kept.text())


class _Tail:
    """The end of what was written: errors stand there."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._cut = 0

    def add(self, chunk: bytes) -> None:
        self._bytes += chunk
        over = len(self._bytes) - OUTPUT_BYTES_MAX
        if over > 0:
            del self._bytes[:over]
            self._cut += over

    def text(self) -> str:
        said = self._bytes.decode("utf-8", "replace")
        return f"[{self._cut} bytes before this were cut] {said}" if self._cut else said


def _followed(
    child: "subprocess.Popen[bytes]", kept: _Tail, deadline: Deadline, clock: Clock
) -> bool:
    """Read what it writes until it has ended; False if its time was over first."""
    while not _has_ended(child):
        try:
            left_s = deadline.left_s()
        except TimeoutError:
            return False
        if not _read(child, kept, min(left_s, POLL_S)):
            clock.wait(threading.Event(), min(left_s, POLL_S))
    # What it wrote last; bounded, as something that it left running may go on writing.
    for _ in range(_LAST_READS_MAX):
        if not _read(child, kept, 0.0):
            break
    return True


def _read(child: "subprocess.Popen[bytes]", kept: _Tail, wait_s: float) -> bool:
    """Read what is there. False where there is nothing to wait for: the other end was closed."""
    assert child.stdout is not None  # noqa: S101 - opened above
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(wait_s):
            return wait_s > 0
    chunk = os.read(child.stdout.fileno(), _READ_BYTES)
    kept.add(chunk)
    return bool(chunk)


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    """Ask without taking its number away, which must not be given to another process yet."""
    if sys.platform == "darwin":
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
