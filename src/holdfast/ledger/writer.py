"""Group commit without a thread of its own: whoever comes first commits for all who wait.

A caller that finds nobody writing writes at once and pays no thread switch;
whoever comes meanwhile waits, and one of them commits all of that together, so
sixteen incidents cost about one sync. A work that fails takes nothing else with
it: its group is rolled back and run once more, each work in a savepoint.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apsw

from holdfast.kernel.errors import LedgerUnavailableError

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]

GROUP_MAX = 256
# Big enough that a page written often is copied home once, small enough that a start reads it fast.
CHECKPOINT_PAGES = 4000


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class _Piece:
    """What one caller handed in: works that are committed together, and how each ended."""

    works: Sequence[Work]
    results: list[Any] = field(default_factory=list)
    woken: threading.Lock = field(default_factory=_held_lock)
    leads: bool = False
    done: bool = False


class Writer:
    """Owns the writing connection. Thread-safe; `run` returns once its work is durable."""

    def __init__(self, db: apsw.Connection, path: str) -> None:
        self._db = db
        self._cursor = db.cursor()
        self._path = path
        self._lock = threading.Lock()
        self._waiting: deque[_Piece] = deque()
        self._led = False
        self._closed = False
        self._idle = threading.Condition(self._lock)
        self._broken: str | None = None
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        db.set_wal_hook(self._count_pages)

    @property
    def broken(self) -> str | None:
        """Say why nothing can be written any more; None while all is well."""
        return self._broken

    def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is durable."""
        result: T | Exception = self.run_all((work,))[0]
        if isinstance(result, Exception):
            raise result
        return result

    def run_all(self, works: Sequence[Work]) -> list[Any]:
        """Run these in one transaction; return for each its result, or the error that it raised."""
        piece = _Piece(works)
        with self._lock:
            if self._closed:
                raise LedgerUnavailableError(
                    f"the ledger {self._path} was closed before this was handed in; "
                    "nothing was written"
                )
            self._waiting.append(piece)
            piece.leads = not self._led
            self._led = True
        if not piece.leads:
            self._wait(piece)
        if piece.leads:
            self._lead(piece)
        return piece.results

    def _wait(self, piece: _Piece) -> None:
        """Return once the piece is done, or is to lead."""
        try:
            piece.woken.acquire()
        except BaseException:
            # Interrupted by a signal: nobody may wait for one who has gone.
            with self._lock:
                if piece in self._waiting:
                    self._waiting.remove(piece)
            if piece.leads:
                self._hand_over()
            raise

    def close(self) -> None:
        """Finish what was handed in; nothing is taken any more."""
        with self._lock:
            self._closed = True
            while self._led:
                self._idle.wait()

    def _lead(self, own: _Piece) -> None:
        """Commit groups until the own piece is in, then hand over to whoever waits longest."""
        try:
            while not own.done:
                group = self._gather()
                try:
                    self._write(group)
                finally:
                    self._wake(group, own)
            if self._wal_pages >= self._checkpoint_at:
                self._checkpoint()
        finally:
            self._hand_over()

    def _wake(self, group: Sequence[_Piece], own: _Piece) -> None:
        for piece in group:
            piece.done = True
            if piece is not own:
                piece.woken.release()

    def _hand_over(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.release()
            else:
                self._led = False
                self._idle.notify_all()

    def _gather(self) -> list[_Piece]:
        with self._lock:
            group, count = [], 0
            while self._waiting and count < GROUP_MAX:
                piece = self._waiting.popleft()
                group.append(piece)
                count += len(piece.works)
        return group

    def _write(self, group: Sequence[_Piece]) -> None:
        if self._broken:
            self._fail(group, LedgerUnavailableError(self._broken))
            return
        try:
            self._commit(group)
        except apsw.Error as error:
            self._roll_back()
            self._fail(group, self._unavailable(error))
        except BaseException as error:
            if self._db.in_transaction:
                self._roll_back()
                self._fail(group, self._interrupted(type(error).__name__))
            raise

    def _commit(self, group: Sequence[_Piece]) -> None:
        self._cursor.execute("begin immediate")
        if len(group) == 1 and len(group[0].works) == 1:
            self._commit_alone(group[0])
            return
        try:
            for piece in group:
                piece.results = [work(self._db) for work in piece.works]
        except Exception as error:
            if _is_fault_of_the_store(error):
                raise
            self._run_each(group)
        self._cursor.execute("commit")

    def _run_each(self, group: Sequence[_Piece]) -> None:
        """Begin anew, so that only what fails is undone: seldom, as two savepoints a work are dear.

        Nothing of the first run is left: not in the file, and not in what the callers are told if
        the second one never begins.
        """
        self._fail(group, self._interrupted("before its group was run again"))
        self._cursor.execute("rollback")
        self._cursor.execute("begin immediate")
        for piece in group:
            piece.results = [self._run_one(work) for work in piece.works]

    def _commit_alone(self, piece: _Piece) -> None:
        """One work needs no savepoint: what it leaves undone is the whole transaction."""
        try:
            result = piece.works[0](self._db)
        except Exception as error:
            if _is_fault_of_the_store(error):
                raise
            self._cursor.execute("rollback")
            piece.results = [error]
            return
        piece.results = [result]
        self._cursor.execute("commit")

    def _run_one(self, work: Work) -> Any:  # noqa: ANN401 - the caller's own type
        self._cursor.execute("savepoint piece")
        try:
            result = work(self._db)
        except Exception as error:
            if _is_fault_of_the_store(error):
                raise
            return self._undone(error)
        self._cursor.execute("release piece")
        return result

    def _undone(self, error: Exception) -> Exception:
        self._cursor.execute("rollback to piece")
        self._cursor.execute("release piece")
        return error

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._cursor.execute("rollback")
        except apsw.Error as error:
            self._broken = (
                f"the ledger {self._path} can't roll back ({error}); stop and check the disk"
            )

    def _unavailable(self, error: apsw.Error) -> LedgerUnavailableError:
        if self._broken:
            return LedgerUnavailableError(self._broken)
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

    def _interrupted(self, how: str) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"the ledger {self._path} was interrupted ({how}); nothing was written"
        )

    def _fail(self, group: Sequence[_Piece], error: LedgerUnavailableError) -> None:
        for piece in group:
            piece.results = [error for _ in piece.works]

    def _count_pages(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:
            self._checkpoint_at = CHECKPOINT_PAGES  # the log began anew
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log home. SQLite's own checkpoint would try again after a failed sync."""
        self._checkpoint_at = self._wal_pages + CHECKPOINT_PAGES
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.FullError):
            return  # another one is at it, or there is no room: the log still holds everything
        except apsw.Error as error:
            self._unavailable(error)


def _is_fault_of_the_store(error: Exception) -> bool:
    """Tell a file that fails, which stops the group, from a work that does not go."""
    return isinstance(error, apsw.Error) and not isinstance(error, apsw.ConstraintError)
