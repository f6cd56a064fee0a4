"""Reads a database address and opens the ledger there: a file, or PostgreSQL.

`sqlite:///PATH` (three slashes and a relative path, four and an absolute one) or
`postgresql://USER:PASSWORD@HOST:PORT/DATABASE` with whatever options libpq knows.
No error shows an address as it was given: it may hold a password.
"""

from dataclasses import dataclass
from pathlib import Path

from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError, LedgerUnavailableError
from holdfast.ledger.sqlite import SqliteLedger
from holdfast.response.store import Ledger

VARIABLE = "HOLDFAST_DATABASE_URL"
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a ledger is: a file, or a PostgreSQL database."""

    path: Path | None = None
    dsn: str = ""

    @property
    def shown(self) -> str:
        """The address for people, without user and password."""
        if self.path is not None:
            return str(self.path)
        from holdfast.ledger.postgres_connection import shown  # noqa: PLC0415 - an extra

        return shown(self.dsn)


def read_address(url: str | Path, relative_to: Path | None = None) -> Address:
    """Read an address. Raises BadInputError, never with the address in it."""
    if isinstance(url, Path):
        return Address(path=url)
    if url.startswith(_SQLITE) and url != _SQLITE:
        path = Path(url.removeprefix(_SQLITE))
        return Address(path=path if relative_to is None else relative_to / path)
    if not url.startswith(_POSTGRES):
        raise BadInputError(
            f"{VARIABLE} is neither sqlite:///PATH nor postgresql://HOST/DATABASE; write one of "
            "them, or unset it",
            field=VARIABLE,
        )
    try:
        from holdfast.ledger.postgres_connection import check  # noqa: PLC0415 - an extra
    except ImportError:
        raise BadInputError(
            f"{VARIABLE} names a PostgreSQL database, but psycopg is not installed; run "
            "pip install 'holdfast[postgres]', or write sqlite:///PATH",
            field=VARIABLE,
        ) from None
    check(url)
    return Address(dsn=url)


def open_ledger(where: str | Path | Address, clock: Clock | None = None) -> Ledger:
    """Open the ledger there, and make it if the place is empty.

    Raises BadInputError for an address that is none, LedgerUnavailableError for a store that
    can't be reached or trusted.
    """
    address = where if isinstance(where, Address) else read_address(where)
    if address.path is not None:
        _assert_sqlite(address.path)
        return SqliteLedger(address.path, clock or SystemClock())
    from holdfast.ledger.postgres import PostgresLedger  # noqa: PLC0415 - an extra

    return PostgresLedger(address.dsn, clock)


def is_there(address: Address) -> bool:
    """Say whether a ledger was ever made there. Raises LedgerUnavailableError."""
    if address.path is not None:
        return address.path.exists()
    from holdfast.ledger.postgres_migrate import is_prepared  # noqa: PLC0415 - an extra

    return is_prepared(address.dsn)


def _assert_sqlite(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerUnavailableError(
            f"can't read the ledger {path}: {error.strerror}; mend its rights or give another --dir"
        ) from None
    if start and start != _MAGIC:
        raise LedgerUnavailableError(
            f"{path} is no ledger: it does not begin as an SQLite database does, so it was "
            "overwritten or is another file; put a backup in its place"
        )
