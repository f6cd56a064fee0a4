"""Asks many places at once, each at most once at a time, and is deaf when the time is up.

Threads rather than a loop, because whoever is asked may hang in any way a socket can; one that
hangs keeps its own thread and costs nobody else anything.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from holdfast.kernel.clock import Clock

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Round(Generic[T]):
    """One tick's questions, by the number of the place; closed when the time is up."""

    at: datetime
    deadline: float
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)
    results: dict[int, T] = field(default_factory=dict)

    def report(self, index: int, result: T) -> None:
        with self.lock:
            self.results[index] = result
            self.left -= 1
            if self.left == 0:
                self.done.set()

    def close(self) -> dict[int, T]:
        with self.lock:
            return dict(self.results)


class Crew(Generic[T]):
    """Workers for `size` places. `ask` gives a place's answer and never raises.

    One thread calls `start` and `finish`; `close` ends the workers.
    """

    def __init__(
        self,
        ask: Callable[[int, Round[T]], T],
        *,
        size: int,
        workers: int,
        timeout_s: float,
        name: str,
        clock: Clock,
    ) -> None:
        self._ask = ask
        self._in_flight = [False] * size
        self._timeout_s = timeout_s
        self._clock = clock
        self._jobs: queue.SimpleQueue[tuple[int, Round[T]] | None] = queue.SimpleQueue()
        self._workers = [
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True)
            for n in range(min(size, workers))
        ]
        for worker in self._workers:
            worker.start()

    @property
    def workers(self) -> int:
        return len(self._workers)

    def start(self, at: datetime) -> Round[T]:
        """Ask every place that does not still owe an answer."""
        ready = [n for n, busy in enumerate(self._in_flight) if not busy]
        this: Round[T] = Round(
            at=at, deadline=self._clock.monotonic() + self._timeout_s, left=len(ready)
        )
        for n in ready:
            self._in_flight[n] = True
            self._jobs.put((n, this))
        if not ready:
            this.done.set()
        return this

    def finish(self, this: Round[T]) -> dict[int, T]:
        """Wait until all have answered or the time is up; give what came in time."""
        if not this.done.is_set():
            self._clock.wait(this.done, max(0.0, this.deadline - self._clock.monotonic()))
        return this.close()

    def close(self, *, wait_s: float | None = None) -> None:
        """End the workers. One that hangs is a daemon and ends with the process."""
        for _ in self._workers:
            self._jobs.put(None)
        ends = self._clock.monotonic() + (self._timeout_s if wait_s is None else wait_s)
        for worker in self._workers:
            worker.join(timeout=max(0.0, ends - self._clock.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            index, this = job
            # A question that nobody waits for any more is not asked.
            if self._clock.monotonic() < this.deadline:
                result = self._ask(index, this)
                self._in_flight[index] = False
                this.report(index, result)
            else:
                self._in_flight[index] = False
