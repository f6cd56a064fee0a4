"""Connects to a PostgreSQL that keeps what it commits, or refuses to.

Asserted on every writing connection rather than documented: a server that syncs
and writes whole pages, and is no standby. Every wait has an end, so that a
network that swallows a reply can't hold a worker for ever. No error of this
module holds a password.
"""

import secrets
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.waiting import Ready, Wait

from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError, LedgerUnavailableError

if TYPE_CHECKING:
    from psycopg.abc import PQGen

VERSION_MIN = 130000
# The server gives up an append before we do: then it is known that nothing was written.
APPEND_S = 10
STATEMENT_S = 60
WAIT_S = 15.0
CONNECT_S = 5
_PAUSE_S = 0.05
_DURABLE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write"),
}
_POLLED = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait for the server ends after `patience_s` seconds."""

    monotonic: Callable[[], float] = staticmethod(SystemClock().monotonic)
    patience_s: float = WAIT_S
    session: "Session"

    def wait(
        self,
        gen: "PQGen[Any]",
        interval: float = 0.0,  # noqa: ARG002 - nothing is done in between
        timeout: float | None = None,
    ) -> Any:  # noqa: ANN401 - as the method that it replaces
        """Run one of psycopg's generators; close the connection when its time is over."""
        try:
            wanted = next(gen)
            poll = select.poll()
            while True:
                poll.register(self.pgconn.socket, _POLLED[wanted])
                ends = self.monotonic() + (self.patience_s if timeout is None else timeout)
                ready = _ready(poll, ends, self.monotonic)
                if not ready:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server did not answer within {self.patience_s:.0f} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def _ready(poll: select.poll, ends: float, monotonic: Callable[[], float]) -> Ready | None:
    left_s = max(0.0, ends - monotonic())
    events = poll.poll(left_s * 1000)
    if not events:
        return None
    event = events[0][1]
    # A socket that was hung up on is read: that is how psycopg learns of it.
    reads = event & ~select.POLLOUT
    writes = event & select.POLLOUT
    return Ready.RW if reads and writes else Ready.W if writes else Ready.R


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session of the server. The name is unique, so a reused pid is not taken for it."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the database is and how it is spoken to. `ahead_s` shifts its clock, for trials."""

    dsn: str
    clock: Clock
    ahead_s: float = 0.0
    patience_s: float = WAIT_S

    @property
    def shown(self) -> str:
        """The address without user and password."""
        return shown(self.dsn)

    def connect(self, *, durable: bool = False) -> PatientConnection:
        """Open a connection in autocommit. Raises LedgerUnavailableError, BadInputError."""
        # Unique, so that a session whose reply was lost can be found again and ended.
        name = f"holdfast-{secrets.token_hex(6)}"
        try:
            connection = PatientConnection.connect(
                self._conninfo(name, APPEND_S if durable else STATEMENT_S), autocommit=True
            )
        except psycopg.Error as error:
            raise self.unavailable("can't be reached", error) from None
        try:
            connection.monotonic = self.clock.monotonic
            connection.patience_s = self.patience_s
            connection.session = Session(pid=connection.info.backend_pid, name=name)
            if durable:
                self._assert_durable(connection)
        except psycopg.Error as error:
            connection.close()
            raise self.unavailable("went away while it was asked", error) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_after(
        self, session: "Session", stopping: threading.Event, *, within_s: float
    ) -> PatientConnection:
        """Connect anew and make sure that a lost session is over: what it wrote is then settled.

        Raises LedgerUnavailableError when that can't be had in time.
        """
        ends = self.clock.monotonic() + within_s
        while True:
            connection = None
            try:
                connection = self.connect(durable=True)
                if _is_over(connection, session):
                    return connection
                problem = LedgerUnavailableError(
                    f"the ledger {self.shown} does not end session {session.pid}, whose reply was "
                    "lost; look at it in pg_stat_activity"
                )
            except psycopg.Error as error:
                problem = self.unavailable("went away again", error)
            except LedgerUnavailableError as error:
                problem = error
            if connection is not None:
                connection.close()
            if self.clock.monotonic() >= ends or self.clock.wait(stopping, _PAUSE_S):
                raise problem

    def unavailable(self, what: str, error: Exception) -> LedgerUnavailableError:
        """Say what went wrong, in the server's words but without a password."""
        return LedgerUnavailableError(
            f"the ledger {self.shown} {what}: {self._words(error)}; check that PostgreSQL runs "
            "there, and user, password and database of HOLDFAST_DATABASE_URL"
        )

    def _words(self, error: Exception) -> str:
        words = " ".join(str(error).split()) or type(error).__name__
        secret = conninfo_to_dict(self.dsn).get("password")
        return words.replace(str(secret), "***") if secret else words

    def _conninfo(self, name: str, limit_s: int) -> str:
        given = conninfo_to_dict(self.dsn)
        limit_ms = limit_s * 1000
        options = [
            str(given.get("options") or ""),
            f"-c statement_timeout={limit_ms}",
            f"-c idle_in_transaction_session_timeout={limit_ms}",
            # The second look must see what was committed before its locks, whatever a role or a
            # database has as its default.
            r"-c default_transaction_isolation=read\ committed",
            # What we ask for has an index. A plan made while a table was small must not read all
            # of it once it is big: plans are kept for as long as the session.
            "-c enable_seqscan=off",
            # That makes the plans that can't do without one look dear enough to be compiled, which
            # takes a hundred times as long as what they then do.
            "-c jit=off",
            f"-c holdfast.ahead_s={self.ahead_s}" if self.ahead_s else "",
        ]
        wanted: dict[str, Any] = {
            "connect_timeout": CONNECT_S,
            "tcp_user_timeout": int(WAIT_S * 1000),
            "keepalives_idle": CONNECT_S,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
        return make_conninfo(
            self.dsn,
            **{key: value for key, value in wanted.items() if key not in given},
            client_encoding="UTF8",
            application_name=name,
            options=" ".join(part for part in options if part),
        )

    def _assert_durable(self, connection: PatientConnection) -> None:
        version = connection.info.server_version
        if version < VERSION_MIN:
            raise LedgerUnavailableError(
                f"the ledger {self.shown} is on PostgreSQL {version // 10000}, and Holdfast needs "
                f"{VERSION_MIN // 10000} or newer; upgrade it, or use another server"
            )
        rows = connection.execute(
            "select name, setting from pg_settings where name = any(%s::text[]) "
            "union all select 'standby', pg_is_in_recovery()::text",
            [list(_DURABLE)],
        ).fetchall()
        self._assert_settings(dict(rows))

    def _assert_settings(self, settings: dict[str, str]) -> None:
        for name, allowed in _DURABLE.items():
            if settings[name] not in allowed:
                raise LedgerUnavailableError(
                    f"the ledger {self.shown} has {name} = {settings[name]}, so what was committed "
                    f"can be lost; set {name} = on for this server, database and user"
                )
        if settings["standby"] == "true":
            raise LedgerUnavailableError(
                f"the ledger {self.shown} is a standby, which takes no writes; name its primary, "
                "or add target_session_attrs=read-write to HOLDFAST_DATABASE_URL"
            )


def _is_over(connection: PatientConnection, session: "Session") -> bool:
    values = (session.pid, session.name)
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid = %s and application_name = %s",
        values,
    )
    return not connection.execute(
        "select from pg_stat_activity where pid = %s and application_name = %s", values
    ).fetchall()


def check(dsn: str) -> None:
    """Raise BadInputError, without the DSN, for one that psycopg can't read."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Neither the DSN nor the library's words, which quote it: it may hold a password.
        raise BadInputError(
            "HOLDFAST_DATABASE_URL can't be read (not shown, it may hold a password); write "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters as %XX",
            field="HOLDFAST_DATABASE_URL",
        ) from None


def shown(dsn: str) -> str:
    """Write a DSN for people: where it leads, but neither user nor password."""
    given = conninfo_to_dict(dsn)
    host = given.get("host") or given.get("hostaddr") or "localhost"
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{host}{port}/{given.get('dbname') or given.get('user') or ''}"
