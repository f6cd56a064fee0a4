"""Gives birth to workers quickly: a process that has imported everything once and then forks.

A new Python with all of Holdfast takes most of a second; a fork takes milliseconds, so that workers
can be killed by the hundred. It has no thread and no open store when it forks. When whoever asked
for it ends, it ends, and the kernel kills its children with it.
"""

import atexit
import ctypes
import importlib
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True, kw_only=True)
class Child:
    """A process born here. It is no child of this process, so it is watched by a descriptor."""

    pid: int
    name: str
    descriptor: int
    stopped: bool = False

    @property
    def alive(self) -> bool:
        return self.descriptor >= 0 and not select.select([self.descriptor], [], [], 0)[0]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to exactly this process; one that is dead is left alone."""
        if self.descriptor >= 0:
            try:
                signal.pidfd_send_signal(self.descriptor, number)
            except ProcessLookupError:
                return
        self.stopped = number is signal.SIGSTOP or (self.stopped and number is not signal.SIGCONT)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def ended(self, timeout_s: float) -> bool:
        """Wait until it has ended."""
        return self.descriptor < 0 or bool(select.select([self.descriptor], [], [], timeout_s)[0])

    def stops(self, within_s: float) -> bool:
        """Ask it to end, and say whether it did; one that does not notes where its threads stand."""
        self.resume()
        self.terminate()
        if self.ended(within_s):
            return True
        self.signal(signal.SIGUSR1)
        self.ended(0.2)
        return False

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.signal(signal.SIGKILL)
        assert self.ended(10), f"{self.name} does not die"
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass(slots=True, kw_only=True)
class Nursery:
    """The asking side. Use as a context: everything that was born in it is dead after it."""

    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    children: list[Child] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        path = os.pathsep.join(p for p in (os.environ.get("PYTHONPATH"), str(_ROOT)) if p)
        env = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self.process
        for child in self.children:
            child.kill()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def bury(self, children: "list[Child]") -> None:
        """Kill these and forget them."""
        for child in children:
            child.kill()
            self.children.remove(child)

    def bear(self, name: str, run: Callable[..., object], *args: object) -> Child:
        """Have `run(*args)` run in a process of its own. A module's function, plain arguments."""
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        work = b64encode(pickle.dumps((run, args)))
        with self.lock:
            self.process.stdin.write(work + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nursery is gone: {self.log.read_text(errors='replace')}")
        pid = int(json.loads(answer)["pid"])
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            descriptor = -1
        child = Child(pid=pid, name=name, descriptor=descriptor)
        self.children.append(child)
        return child


_KEPT = ExitStack()


@cache
def nursery() -> Nursery:
    """Give the one of this process: it imports once, and serves every case."""
    folder = Path(_KEPT.enter_context(TemporaryDirectory(prefix="hfnursery")))
    made = _KEPT.enter_context(Nursery(log=folder / "log"))
    atexit.register(_KEPT.close)
    return made


def main() -> None:
    """Fork for each line on stdin; say each pid on stdout; end with stdin."""
    # Imported once, so that children need not.
    for name in ("holdfast.ledger.postgres", "tests.crash.proxy", "tests.crash.workers"):
        importlib.import_module(name)
    _keep_texts()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _be_born(line)
        sys.stdout.write(json.dumps({"pid": pid}) + "\n")
        sys.stdout.flush()


def _keep_texts() -> None:
    """Read what the ledger reads from files, so that no edit of them parts an old child from a new."""
    from holdfast.ledger import migrate, postgres_migrate, queries

    dialects: tuple[migrate.Dialect, ...] = ("sqlite", "postgres")
    for dialect in dialects:
        queries.load(dialect)
    kept = {dialect: list(migrate.migrations(dialect)) for dialect in dialects}
    for module in (migrate, postgres_migrate):
        vars(module)["migrations"] = lambda dialect: iter(kept[dialect])


def _be_born(line: bytes) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        run, args = _work(line)
        run(*args)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - it must not come back into the nursery's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _work(line: bytes) -> tuple[Callable[..., object], Any]:
    run, args = pickle.loads(b64decode(line))  # noqa: S301 - from the process that started this one
    return run, args


if __name__ == "__main__":
    main()
