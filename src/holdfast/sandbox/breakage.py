"""What every fault that lasts has in common: it keeps something up, and it can be undone.

Rule: the platform keeps these objects and nothing else of a fault. `release` ends what the fault
keeps up (threads, connections) when the platform ends; `heal` undoes it as an operator would.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Protocol, Self

from holdfast.kernel import HoldfastError
from holdfast.sandbox import processes
from holdfast.sandbox.faults import Injected
from holdfast.sandbox.site import Site
from holdfast.sandbox.supervisor import Supervisor


class Breakage(Protocol):
    """One fault that is in the platform now."""

    @property
    def injected(self) -> Injected: ...

    def release(self) -> None:
        """End what keeps the fault up. Called once, also when nothing was healed."""

    def heal(self) -> None:
        """Undo what the fault did. Called after `release`."""


class Lasting:
    """A thread that does something until it is told that it is over."""

    def __init__(self, name: str, run: Callable[[threading.Event], None]) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=run, args=(self._over,), name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


class Victim:
    """One supervised process, by its name. Use it in a `with` block and in one thread."""

    def __init__(self, site: Site, name: str) -> None:
        self._name = name
        self._supervisor = Supervisor(site.supervisor_socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.close()

    @property
    def pid(self) -> int | None:
        """The pid of the process, or None when it does not run."""
        info = self._supervisor.state(self._name)
        return int(info["pid"]) if info["statename"] == "RUNNING" else None

    def send(self, signal: int) -> int:
        """Signal the process and return its pid. Raises HoldfastError when it does not run."""
        pid = self.pid
        if pid is None:
            raise HoldfastError(
                f"{self._name} does not run, so it can't be broken; heal the platform first"
            )
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal)
        return pid

    def start(self) -> None:
        """Start it if it does not run."""
        if self.pid is None:
            self._supervisor.start(self._name)

    def stop(self) -> None:
        """Stop it if it runs."""
        if self.pid is not None:
            self._supervisor.stop(self._name)


def same_process(pid: int, mark: str | None) -> bool:
    """Say whether `pid` is still the process that had this mark."""
    return mark is not None and processes.started_at(pid) == mark
