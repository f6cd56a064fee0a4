"""Runs jobs side by side, each in a daemon thread with a deadline of its own.

Python can't stop a thread, so one that hangs is left behind: its job is reported
as hanging and not started again while that thread lives. Otherwise a target that
hangs for a day would cost a thread on every round. Two callers at once each get a run
of their own.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from holdfast.kernel.clock import Clock, SystemClock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hanging:
    """The job gave no answer in time; `earlier`: it hangs since an earlier round."""

    since: datetime
    earlier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The job ended with an error instead of an answer."""

    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What became of one job, and how long that took."""

    result: T | Raised | Hanging
    took_s: float


class _Run(Generic[T]):
    """One job in its thread. What it answers after its deadline is nobody's business any more."""

    def __init__(self, job: Callable[[], T], clock: Clock) -> None:
        self.done = threading.Event()
        self.started_at = clock.now()
        self.started = clock.monotonic()
        self.answer: Answer[T] | None = None
        self._job = job
        self._clock = clock

    def work(self) -> None:
        result: T | Raised
        try:
            result = self._job()
        except BaseException as error:  # noqa: BLE001 - the caller of the job gets it as an answer
            result = Raised(error=error)
        self.answer = Answer(result=result, took_s=self._clock.monotonic() - self.started)
        self.done.set()


class ParallelRuns(Generic[K, T]):
    """Remembers between rounds which jobs still hang. Used by one thread at a time or by many."""

    def __init__(self, *, timeout_s: float, name: str, clock: Clock | None = None) -> None:
        self.timeout_s = timeout_s
        self._name = name
        self._clock = clock or SystemClock()
        self._hanging: dict[K, _Run[T]] = {}
        self._lock = threading.Lock()

    def run(self, jobs: Mapping[K, Callable[[], T]]) -> dict[K, Answer[T]]:
        """Run all jobs at once and answer for each, in the order given, within the time limit."""
        runs = {key: self._start(key, job) for key, job in jobs.items()}
        return {
            key: run if isinstance(run, Answer) else self._await(key, run)
            for key, run in runs.items()
        }

    def _start(self, key: K, job: Callable[[], T]) -> "_Run[T] | Answer[T]":
        with self._lock:
            if stuck := self._still_hanging(key):
                return Answer(result=Hanging(since=stuck.started_at, earlier=True), took_s=0.0)
            run = _Run(job, self._clock)
            thread = threading.Thread(target=run.work, name=f"{self._name} {key}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the machine has no thread left
                return Answer(result=Raised(error=error), took_s=0.0)
            # The first one in flight is remembered: if that hangs, the next round finds it.
            self._hanging.setdefault(key, run)
            return run

    def _still_hanging(self, key: K) -> _Run[T] | None:
        run = self._hanging.get(key)
        if run is not None and run.done.is_set():
            del self._hanging[key]
            return None
        if run is not None and self._clock.monotonic() - run.started < self.timeout_s:
            return None  # another caller awaits it and it may well answer: that is no hang
        return run

    def _await(self, key: K, run: _Run[T]) -> Answer[T]:
        left_s = run.started + self.timeout_s - self._clock.monotonic()
        self._clock.wait(run.done, max(left_s, 0.0))
        if run.answer is None:
            took_s = self._clock.monotonic() - run.started
            return Answer(result=Hanging(since=run.started_at, earlier=False), took_s=took_s)
        with self._lock:
            if self._hanging.get(key) is run:
                del self._hanging[key]
        return run.answer
