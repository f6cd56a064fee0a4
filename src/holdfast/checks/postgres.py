"""Opens a PostgreSQL session that can only look, and not for long.

Read-only transaction, statement and lock timeouts set by the session itself, so
that a check can neither change a row nor add to a jam. psycopg is an extra and
imported at the first use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from holdfast.kernel.errors import BadInputError

if TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "holdfast-check"


@contextmanager
def read_only_session(
    dsn: str, *, statement_timeout_s: float, connect_timeout_s: int, server_default: bool = False
) -> Iterator["psycopg.Connection[dict[str, Any]]"]:
    """Open a read-only transaction. Raises BadInputError for a DSN that can't be read.

    With `server_default` the setting default_transaction_read_only is left as the server has it,
    so that it can be read; the transaction is read-only all the same.
    """
    psycopg = _psycopg()
    from psycopg.rows import dict_row  # noqa: PLC0415 - psycopg is an extra

    conninfo = _conninfo(dsn, statement_timeout_s, connect_timeout_s, server_default=server_default)
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        connection.read_only = True
        yield connection
        connection.rollback()


def _psycopg() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInputError(
            "a PostgreSQL check is configured, but psycopg is not installed;"
            " install it with: pip install 'holdfast[postgres]'"
        ) from error
    return psycopg


def _conninfo(
    dsn: str, statement_timeout_s: float, connect_timeout_s: int, *, server_default: bool
) -> str:
    from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415 - an extra

    try:
        given = conninfo_to_dict(dsn)
    except ProgrammingError:
        # Neither the DSN nor the library's words, which quote it: it may hold a password.
        raise BadInputError(
            "the DSN of a PostgreSQL check can't be read (not shown, it may hold a password);"
            " write it as 'host=... dbname=... user=...' or postgresql://..."
        ) from None
    limit_ms = max(1, round(statement_timeout_s * 1000))
    options = [
        str(given.get("options") or ""),
        f"-c statement_timeout={limit_ms}",
        f"-c lock_timeout={limit_ms}",
        f"-c idle_in_transaction_session_timeout={limit_ms * 2}",
        "" if server_default else "-c default_transaction_read_only=on",
    ]
    return make_conninfo(
        dsn,
        connect_timeout=connect_timeout_s,
        application_name=APPLICATION_NAME,
        options=" ".join(part for part in options if part),
    )
