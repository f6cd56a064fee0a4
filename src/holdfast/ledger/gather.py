"""Group commit without a thread of its own: whoever comes first writes for all who wait.

A caller that finds nobody writing writes at once and pays no thread switch;
whoever comes meanwhile waits, and one of them writes all of that together.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from holdfast.kernel.errors import LedgerUnavailableError

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(eq=False, slots=True)
class _Piece(Generic[In, Out]):
    work: Sequence[In]
    results: Sequence[Out] = ()
    error: BaseException | None = None
    done: bool = False
    # Locked until its owner has something to do: it is done, or its turn to write has come.
    woken: threading.Lock = field(default_factory=threading.Lock)


class Gatherer(Generic[In, Out]):
    """Hands what comes together to `write`, `most` at once. Thread-safe.

    `write` returns one result for each of its inputs; what it raises, every caller of that
    group is told.
    """

    def __init__(self, write: Callable[[Sequence[In]], Sequence[Out]], *, most: int) -> None:
        self._write = write
        self._most = most
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[_Piece[In, Out]] = deque()
        self._led = False
        self._closed = False

    def run(self, work: Sequence[In]) -> Sequence[Out]:
        """Have `work` written and return its results. Raises LedgerUnavailableError once closed."""
        piece: _Piece[In, Out] = _Piece(work)
        with self._lock:
            if self._closed:
                raise LedgerUnavailableError(
                    "the ledger was closed before this was handed in; nothing was written"
                )
            self._waiting.append(piece)
            leads, self._led = not self._led, True
            if not leads:
                piece.woken.acquire()
        if not leads:
            piece.woken.acquire()
        if not piece.done:
            self._lead(piece)
        if piece.error is not None:
            raise piece.error
        return piece.results

    def close(self) -> None:
        """Finish what was handed in; nothing is taken any more."""
        with self._lock:
            self._closed = True
            while self._led:
                self._idle.wait()

    def _lead(self, own: _Piece[In, Out]) -> None:
        """Write groups until the own piece is in, then hand over to whoever waits longest."""
        try:
            while not own.done:
                group = self._next_group()
                self._settle(group)
                for piece in group:
                    piece.done = True
                    if piece is not own:
                        piece.woken.release()
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].woken.release()
                else:
                    self._led = False
                    self._idle.notify_all()

    def _next_group(self) -> list[_Piece[In, Out]]:
        with self._lock:
            group: list[_Piece[In, Out]] = []
            count = 0
            while self._waiting and (not group or count + len(self._waiting[0].work) <= self._most):
                piece = self._waiting.popleft()
                group.append(piece)
                count += len(piece.work)
        return group

    def _settle(self, group: Sequence[_Piece[In, Out]]) -> None:
        try:
            results = iter(self._write([one for piece in group for one in piece.work]))
            for piece in group:
                piece.results = [next(results) for _ in piece.work]
        except Exception as error:  # noqa: BLE001 - told to every caller of the group
            for piece in group:
                piece.error = error
