"""Takes a ledger away as one portable file, and puts it into an empty database of either kind.

A backup is one moment, taken while everything runs. A restore is one transaction
with every chain checked before and in it, so there is never half a ledger; and it
is a new beginning: nobody who held something before can go on writing.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from holdfast.kernel.errors import LedgerUnavailableError, RefusedError
from holdfast.ledger import tables_sqlite
from holdfast.ledger.address import Address, open_ledger
from holdfast.ledger.chain import ChainVerdict
from holdfast.ledger.migrate import migrate, migrations
from holdfast.ledger.tables import SEEDED, TABLES, Row, Tables, verify_tables
from holdfast.ledger.tables_sqlite import SqliteTables

# Above every fence and number that may have been given out after the backup was taken: a target
# that remembers either must not take a new step for an old one.
FENCES_RAISED = 1_000_000
NUMBERS_LEFT = 1_000

Progress = Callable[[str, int, int], None]
_EVERY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a backup or a restore has copied; `broken` are the chains that are not whole."""

    chains: int
    records: int
    open_incidents: int
    broken: tuple[ChainVerdict, ...] = ()


def _quiet(_table: str, _done: int, _total: int) -> None: ...


def back_up(source: Address, target: Path, progress: Progress = _quiet) -> Copied:
    """Write the ledger at `source` to the new file `target`, durably.

    A broken chain is copied as it is and told: what is left is worth keeping. Raises
    RefusedError when `target` is there already, LedgerUnavailableError for a store that fails.
    """
    if target.exists():
        raise RefusedError(f"{target} is there already; give another name, or remove it first")
    with reading(source) as tables, _new_file(target) as temporary:
        _assert_known(tables, source.shown)
        with closing(apsw.Connection(str(temporary))) as db:
            try:
                db.pragma("journal_mode", "off")
                db.pragma("synchronous", "off")  # synced once, when it is whole
                migrate(db, str(temporary))
                db.execute("begin")
                copy = SqliteTables(db)
                _copy(tables, copy, progress)
                db.execute("commit")
                return _told(copy)
            except apsw.Error as error:
                raise LedgerUnavailableError(
                    f"can't write {target}: {error}; nothing was left there: check its disk"
                ) from None


def restore(source: Path, target: Address, progress: Progress = _quiet) -> Copied:
    """Put the backup `source` into the empty ledger at `target`, made there if need be.

    Raises RefusedError for a ledger that is not empty and for a backup with a broken chain;
    nothing is changed then.
    """
    with _current(source) as backup, tables_sqlite.reading(backup) as tables:
        _assert_known(tables, str(source))
        before = _whole(_told(tables), f"the backup {source}")
        open_ledger(target).close()
        with writing(target) as into:
            _assert_known(into, target.shown)
            _assert_empty(into, target.shown)
            _copy(tables, into, progress, renewed=True)
            after = _whole(_told(into), f"what was restored into {target.shown}")
            if after != before:
                raise LedgerUnavailableError(
                    f"{target.shown} took {after.records} of {before.records} records; nothing was "
                    "changed in it: check the database"
                )
    return after


def reading(address: Address) -> AbstractContextManager[Tables]:
    """Read the tables of a ledger as of one moment."""
    if address.path is not None:
        return tables_sqlite.reading(address.path)
    from holdfast.ledger import tables_postgres  # noqa: PLC0415 - an extra

    return tables_postgres.reading(address.dsn)


def writing(address: Address) -> AbstractContextManager[Tables]:
    """Change the tables of a ledger in one transaction."""
    if address.path is not None:
        return tables_sqlite.writing(address.path)
    from holdfast.ledger import tables_postgres  # noqa: PLC0415 - an extra

    return tables_postgres.writing(address.dsn)


def _copy(source: Tables, target: Tables, progress: Progress, *, renewed: bool = False) -> None:
    for table in TABLES:
        if table in SEEDED:
            target.clear(table)
        rows = source.read(table)
        if renewed and table in _RENEWED:
            rows = map(_RENEWED[table], rows)
        target.write(table, _counted(rows, table, source.count(table), progress))


def _counted(rows: Iterable[Row], table: str, total: int, progress: Progress) -> Iterator[Row]:
    done = 0
    for row in rows:
        yield row
        done += 1
        if done % _EVERY == 0 and done != total:
            progress(table, done, total)
    progress(table, done, total)


def _new_incident(row: Row) -> Row:
    """Held by nobody, with a fence that nobody has had."""
    incident_id, n, fence, _owner, _lease, *rest = row
    return (incident_id, n, fence + FENCES_RAISED, None, None, *rest)


def _new_counter(row: Row) -> Row:
    name, value = row
    return (name, value + NUMBERS_LEFT)


_RENEWED: dict[str, Callable[[Row], Row]] = {"incident": _new_incident, "counter": _new_counter}


def _told(tables: Tables) -> Copied:
    """Check every chain and count what there is."""
    verdicts = list(verify_tables(tables))
    return Copied(
        chains=len(verdicts),
        records=sum(verdict.records for verdict in verdicts),
        open_incidents=sum(1 for row in tables.read("incident") if row[5] and not row[7]),
        broken=tuple(verdict for verdict in verdicts if not verdict.ok),
    )


def _whole(copied: Copied, what: str) -> Copied:
    if copied.broken:
        first = copied.broken[0]
        raise RefusedError(
            f"{what} is not whole: {first.incident_id}: {first.problem}; nothing was restored: "
            "take an older backup"
        )
    return copied


def _assert_empty(tables: Tables, shown: str) -> None:
    full = [name for name in TABLES if tables.count(name) > (1 if name in SEEDED else 0)]
    used = any(row[5] for row in tables.read("incident"))
    if full or used:
        raise RefusedError(
            f"the ledger {shown} is not empty, and a restore replaces nothing; move it away, or "
            "name another database"
        )


def _assert_known(tables: Tables, shown: str) -> None:
    """A newer release may keep more than this one knows of, which would be left out."""
    known = {number for number, _, _ in migrations(tables.dialect)}
    newer = [name for number, name in tables.migrations().items() if number > max(known)]
    if newer:
        raise RefusedError(
            f"{shown} is of a newer release, which keeps more than this one knows of "
            f"({newer[-1]}); use that release"
        )


@contextmanager
def _current(source: Path) -> Iterator[Path]:
    """Give the backup, or a copy of it brought up to date when an older release wrote it."""
    with tables_sqlite.reading(source) as tables:
        missing = {number for number, _, _ in migrations("sqlite")} - set(tables.migrations())
    if not missing:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-restore-") as directory:
        copy = Path(directory) / "backup.db"
        with (
            closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as old,
            closing(apsw.Connection(str(copy))) as db,
        ):
            with db.backup("main", old, "main") as copying:
                copying.step()
            migrate(db, str(source))
        yield copy


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Give a file beside `target` that takes its name once the block is over, or is gone."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        yield temporary
        os.fsync(handle)
        temporary.rename(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)
