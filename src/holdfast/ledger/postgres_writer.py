"""Writes appends: what waits together is one statement, one round trip and one commit.

An error leaves one of two things: the server said that it rolled back, or the
reply is lost and the commit may have happened. A lost reply is read back, after
the old session has been ended, before anything is decided.
"""

import threading
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import pq
from psycopg.generators import execute

from holdfast.kernel.errors import LedgerUnavailableError
from holdfast.ledger.encode import stale
from holdfast.ledger.gather import Gatherer
from holdfast.ledger.postgres_append import PARAMETERS, STATEMENT, Prepared, outcomes, parameters
from holdfast.ledger.postgres_connection import PatientConnection, Server, Session
from holdfast.response.store import Claim

Outcome = Claim | Exception

GROUP_MAX = 256
# How long a writer looks for the server again to learn what became of its commit.
READ_BACK_S = 5.0
_TRIES = 5
_NAME = b"holdfast_append"
_FORMATS = [pq.Format.BINARY] * PARAMETERS
# Rolled back because of others; the same may be sent again.
_AGAIN = ("40001", "40P01")


class LostReplyError(Exception):
    """The connection ended with a statement under way: it may have been carried out."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class PostgresWriter:
    """Owns one writing connection and makes it anew when it is lost. Thread-safe."""

    def __init__(self, server: Server, queries: Mapping[str, str]) -> None:
        self._server = server
        self._queries = queries
        self._connection: PatientConnection | None = None
        self._gatherer: Gatherer[Prepared, Outcome] = Gatherer(self._write, most=GROUP_MAX)
        self._stopping = threading.Event()

    def append(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """Write batches; each has its claim or its error. Raises LedgerUnavailableError."""
        results: list[Outcome] = []
        for start in range(0, len(prepared), GROUP_MAX):
            results += self._gatherer.run(prepared[start : start + GROUP_MAX])
        return results

    def close(self) -> None:
        """Finish what was handed in and let go of the connection."""
        self._stopping.set()
        self._gatherer.close()
        self._drop()

    # --- one group, by the thread that leads it ----------------------------

    def _write(self, group: Sequence[Prepared]) -> Sequence[Outcome]:
        # In one order, so that two processes wait for each other as rarely as can be.
        order = sorted(range(len(group)), key=lambda i: group[i].batch.claim.incident_id)
        written = self._written([group[i] for i in order])
        results: list[Outcome] = list(written)
        for place, outcome in zip(order, written, strict=True):
            results[place] = outcome
        return results

    def _written(self, group: Sequence[Prepared]) -> list[Outcome]:
        connection = self._connected()
        try:
            return outcomes(group, self._call(connection, group))
        except LostReplyError as lost:
            self._drop()
            return self._read_back(group, connection.session, lost.error)
        except psycopg.Error as error:
            # The server said that it rolled back. One that can't be written takes no other with it.
            if len(group) > 1:
                return [outcome for one in group for outcome in self._written([one])]
            return [self._refused(error)]

    def _call(self, connection: PatientConnection, group: Sequence[Prepared]) -> bytes | None:
        values = parameters(group)
        for left in reversed(range(_TRIES)):
            result = _run(connection, values)
            if result.status == pq.ExecStatus.TUPLES_OK:
                return result.get_value(0, 0)
            error = psycopg.errors.error_from_result(result)
            if connection.pgconn.status == pq.ConnStatus.BAD or _is_fatal(error):
                raise LostReplyError(error)
            if error.sqlstate not in _AGAIN or not left:
                raise error
        raise AssertionError  # the last try returned or raised

    # --- a lost reply -------------------------------------------------------

    def _read_back(
        self, group: Sequence[Prepared], session: Session, error: Exception
    ) -> list[Outcome]:
        """Learn from the store what became of appends whose reply was lost."""
        values = {
            "ids": [one.after.incident_id for one in group],
            "seqs": [one.after.seq for one in group],
            "fences": [one.after.fence for one in group],
        }
        try:
            self._connection = self._ready(
                self._server.connect_after(session, self._stopping, within_s=READ_BACK_S)
            )
            rows = self._connection.execute(
                self._queries["written"].encode(), values, binary=True
            ).fetchall()
        except (psycopg.Error, LedgerUnavailableError):
            return [self._unknown(error) for _ in group]
        found = {(incident_id, seq): (digest, ours) for incident_id, seq, digest, ours in rows}
        results = [self._became(one, found, error) for one in group]
        absent = [place for place, outcome in enumerate(results) if outcome is None]
        again = self._repeated([group[place] for place in absent]) if absent else []
        for place, outcome in zip(absent, again, strict=True):
            results[place] = outcome
        return [self._unknown(error) if outcome is None else outcome for outcome in results]

    def _became(
        self, one: Prepared, found: Mapping[tuple[str, int], tuple[bytes, bool]], error: Exception
    ) -> Outcome | None:
        """Say what became of one append; None when it was not written and never will be."""
        if not one.links:
            return self._unknown(error)
        there = found.get((one.after.incident_id, one.after.seq))
        if there is None:
            return None
        # The same bytes under another fence can be another worker's.
        return one.after if there == (one.after.head, True) else stale(one.batch.claim)

    def _repeated(self, group: Sequence[Prepared]) -> list[Outcome]:
        """Write once more what is proven not to be there, under the same fence and number."""
        try:
            return outcomes(group, self._call(self._connected(), group))
        except LostReplyError as lost:
            self._drop()
            return [self._unknown(lost.error) for _ in group]
        except psycopg.Error as error:
            return [self._refused(error) for _ in group]

    def _refused(self, error: Exception) -> LedgerUnavailableError:
        return self._server.unavailable("refused an append; nothing was written", error)

    def _unknown(self, error: Exception) -> LedgerUnavailableError:
        return self._server.unavailable(
            "did not answer an append, and it is not known whether that was written (read the "
            "incident anew before anything is decided)",
            error,
        )

    # --- the connection -----------------------------------------------------

    def _connected(self) -> PatientConnection:
        if self._connection is None or self._connection.closed:
            self._drop()
            self._connection = self._ready(self._server.connect(durable=True))
        return self._connection

    def _ready(self, connection: PatientConnection) -> PatientConnection:
        try:
            prepared = connection.pgconn.prepare(_NAME, STATEMENT)
            if prepared.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(prepared)
        except psycopg.Error as error:
            connection.close()
            raise self._server.unavailable("can't take appends", error) from None
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _run(connection: PatientConnection, values: Sequence[bytes]) -> "pq.abc.PGresult":
    pgconn = connection.pgconn
    try:
        pgconn.send_query_prepared(_NAME, values, _FORMATS, pq.Format.TEXT)
        (result,) = connection.wait(execute(pgconn))
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise LostReplyError(error) from None
    checked: pq.abc.PGresult = result
    return checked


def _is_fatal(error: psycopg.Error) -> bool:
    """Say whether the session ended with it. Only a plain ERROR proves that nothing was written."""
    return error.diag.severity_nonlocalized != "ERROR"
