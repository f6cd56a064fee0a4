"""One thread that writes, for everybody who wants to write.

Callers hand in a piece of work and wait for their own; what waits together is
committed together (group commit), so sixteen incidents cost about one sync.
Each piece runs in a savepoint: one that fails takes nothing else with it.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw

from holdfast.kernel.errors import LedgerUnavailableError

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]

GROUP_MAX = 256


@dataclass(frozen=True, slots=True)
class _Item:
    work: Work
    future: "Future[Any]"


class Writer:
    """Owns the writing connection. Thread-safe; `run` blocks until its work is durable."""

    def __init__(self, db: apsw.Connection, path: str) -> None:
        self._db = db
        self._path = path
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._broken: str | None = None
        self._closed = False
        self._handing_in = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="ledger-writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is durable."""
        future: Future[T] = Future()
        with self._handing_in:
            if self._closed:
                raise LedgerUnavailableError(
                    f"the ledger {self._path} was closed before this was handed in; "
                    "nothing was written"
                )
            self._queue.put(_Item(work, future))
        return future.result()

    @property
    def broken(self) -> str | None:
        """Say why nothing can be written any more; None while all is well."""
        return self._broken

    def close(self) -> None:
        """Finish what was handed in, then stop."""
        with self._handing_in:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while (first := self._queue.get()) is not None:
            group, last = self._gather(first)
            if self._broken:
                self._fail(group, LedgerUnavailableError(self._broken))
            else:
                self._commit(group)
            if last:
                return

    def _gather(self, first: _Item) -> tuple[list[_Item], bool]:
        group = [first]
        while len(group) < GROUP_MAX:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
            if item is None:
                return group, True
            group.append(item)
        return group, False

    def _commit(self, group: list[_Item]) -> None:
        done: list[tuple[_Item, Any]] = []
        try:
            self._db.execute("begin immediate")
            for item in group:
                self._run_one(item, done)
            self._db.execute("commit")
        except apsw.Error as error:
            self._roll_back()
            self._fail([i for i in group if not i.future.done()], self._unavailable(error))
            return
        for item, result in done:
            item.future.set_result(result)

    def _run_one(self, item: _Item, done: list[tuple[_Item, Any]]) -> None:
        self._db.execute("savepoint piece")
        try:
            result = item.work(self._db)
        except apsw.Error as error:
            if not isinstance(error, apsw.ConstraintError):
                raise
            self._undo_piece(item, error)
            return
        except Exception as error:  # noqa: BLE001 - handed to the caller who sent the work
            self._undo_piece(item, error)
            return
        self._db.execute("release piece")
        done.append((item, result))

    def _undo_piece(self, item: _Item, error: Exception) -> None:
        self._db.execute("rollback to piece")
        self._db.execute("release piece")
        item.future.set_exception(error)

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("rollback")
        except apsw.Error as error:
            self._broken = (
                f"the ledger {self._path} can't roll back ({error}); stop and check the disk"
            )

    def _unavailable(self, error: apsw.Error) -> LedgerUnavailableError:
        if isinstance(error, apsw.FullError):
            return LedgerUnavailableError(
                f"the disk of the ledger {self._path} is full; nothing was written and no action "
                "runs until a record can be; free space there"
            )
        if isinstance(error, apsw.BusyError):
            return LedgerUnavailableError(
                f"the ledger {self._path} is locked by another process for too long; "
                "find it with `fuser` and stop it"
            )
        # After a failed write or sync nobody knows what the disk holds: never go on from here.
        self._broken = (
            f"the ledger {self._path} failed ({error}); nothing more is written by this process: "
            "check the disk, then start again"
        )
        return LedgerUnavailableError(self._broken)

    def _fail(self, group: list[_Item], error: LedgerUnavailableError) -> None:
        for item in group:
            item.future.set_exception(error)
