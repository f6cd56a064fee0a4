"""Speaks with a primary and its standby, and always knows whether anything was sent.

One short session each, with time limits of its own. What the statements promise is written beside
them in `scripts/failover_db.sql`. No DSN is ever in a message: it may hold a password.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, Any

from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import LostReplyError, TargetUnreachableError

if TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "holdfast-failover"
# libpq takes whole seconds and no fewer than two.
CONNECT_S = 3


class SaidNoError(HoldfastError):
    """The server answered that it did not run the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One open session in autocommit."""

    connection: "psycopg.Connection[dict[str, Any]]"
    role: str

    def ask(self, name: str, **values: object) -> Mapping[str, Any]:
        """Read one row; empty where there is none. Raises TargetUnreachableError: it only looks."""
        psycopg = driver()
        try:
            return self._row(name, values)
        except psycopg.Error as error:
            text = f"the {self.role} did not answer a question: {_words(error)}"
            raise TargetUnreachableError(text) from error

    def tell(self, name: str, **values: object) -> Mapping[str, Any]:
        """Run a statement once. Raises SaidNoError (certainly nothing done) or LostReplyError."""
        psycopg = driver()
        try:
            return self._row(name, values)
        except (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedTable,
            psycopg.errors.ReadOnlySqlTransaction,
        ) as error:
            raise SaidNoError(f"the {self.role} refused it: {_words(error)}") from error
        except psycopg.Error as error:
            raise LostReplyError(
                f"the statement was sent to the {self.role}, but no usable answer came back:"
                f" {_words(error)}"
            ) from error

    def _row(self, name: str, values: Mapping[str, object]) -> Mapping[str, Any]:
        cursor = self.connection.execute(statement(name).encode(), values)
        return (cursor.fetchone() or {}) if cursor.description else {}


@contextmanager
def session(dsn: str, role: str, timeout_s: float, *, writes: bool = False) -> Iterator[Session]:
    """Open a session; `writes`: even where the default is not to. Raises TargetUnreachableError."""
    psycopg = driver()
    from psycopg.rows import dict_row  # noqa: PLC0415 - psycopg is an extra

    limit_ms = max(1, round(timeout_s * 1000))
    options = [
        str(psycopg.conninfo.conninfo_to_dict(dsn).get("options") or ""),
        f"-c statement_timeout={limit_ms}",
        "-c default_transaction_read_only=off" if writes else "",
    ]
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_S,
            application_name=APPLICATION_NAME,
            options=" ".join(filter(None, options)),
            # A line that goes dead in the middle must not hold a worker for ever.
            tcp_user_timeout=limit_ms,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
    except psycopg.Error as error:
        text = f"the {role} can't be reached: {_words(error)}; nothing was sent"
        raise TargetUnreachableError(text) from error
    with connection:
        yield Session(connection=connection, role=role)


def primary_state(dsn: str) -> str:
    """Say `up`, `read_only`, `down`, or `standby` where the address leads to one in recovery."""
    try:
        with session(dsn, "primary", CONNECT_S) as primary:
            now = primary.ask("look")
    except TargetUnreachableError:
        return "down"
    if now["in_recovery"]:
        return "standby"
    return "read_only" if now["read_only"] else "up"


def require_driver(action: str) -> None:
    """Raise BadInputError where the driver is missing."""
    try:
        driver()
    except ImportError as error:
        raise BadInputError(
            f"{action}: control.failover is set, but psycopg is not installed;"
            " install it with: pip install 'holdfast[postgres]'",
            field="control.failover",
        ) from error


def statement(name: str) -> str:
    """Give one named statement."""
    return _statements()[name]


@cache
def _statements() -> Mapping[str, str]:
    text = files("holdfast.actions").joinpath("scripts/failover_db.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def driver() -> ModuleType:
    """Import the driver, which is an extra."""
    import psycopg  # noqa: PLC0415 - an extra
    import psycopg.conninfo  # noqa: PLC0415 - an extra
    import psycopg.errors  # noqa: PLC0415 - an extra

    return psycopg


def _words(error: BaseException) -> str:
    return bounded(" ".join(str(error).split()) or type(error).__name__, limit=300)
