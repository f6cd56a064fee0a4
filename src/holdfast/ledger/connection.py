"""Opens the file so that what is committed is on the disk, or refuses to.

Asserted at every start rather than documented: a version that can corrupt a WAL,
a file system that cannot hold one, a setting that would answer before the sync.
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from holdfast.kernel.errors import LedgerUnavailableError

# SQLite 3.7.0 to 3.51.2 can corrupt a WAL that two connections reset at once.
_FIRST_SAFE_VERSION = (3, 51, 3)
_BUSY_TIMEOUT_MS = 10_000
_SYNCHRONOUS_FULL = 2
_CACHE_KIB = 32_768


def connect(path: Path, now: Callable[[], float], vfs: str | None = None) -> apsw.Connection:
    """Open one connection; `now` (epoch seconds) becomes the SQL function of the leases' clock."""
    assert_safe_version(apsw.sqlite_lib_version())
    try:
        db = apsw.Connection(str(path), vfs=vfs)
        db.set_busy_timeout(_BUSY_TIMEOUT_MS)
        # Or a statement near a partial index is prepared anew whenever its values change.
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        mode = db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        synchronous = db.pragma("synchronous")
        db.pragma("cache_size", -_CACHE_KIB)
        # The writer copies the log home itself: SQLite forgets about a sync that failed there.
        db.pragma("wal_autocheckpoint", 0)
    except apsw.Error as error:
        raise LedgerUnavailableError(
            f"can't open the ledger {path}: {error}; "
            "check that the directory exists, is writable and has space"
        ) from None
    if (mode, synchronous) != ("wal", _SYNCHRONOUS_FULL):
        raise LedgerUnavailableError(
            f"the ledger {path} opened with journal_mode={mode}, synchronous={synchronous}, "
            "which is not durable; put it on a local file system that allows WAL"
        )
    db.create_scalar_function("holdfast_now", lambda *_: now(), 0)
    return db


def assert_safe_version(version: str) -> None:
    """Raise LedgerUnavailableError for an SQLite that can corrupt the file."""
    if tuple(int(part) for part in version.split(".")) < _FIRST_SAFE_VERSION:
        raise LedgerUnavailableError(
            f"SQLite {version} can corrupt a database that two connections use (fixed in 3.51.3); "
            "install a current `apsw`"
        )
