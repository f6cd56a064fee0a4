"""The two faults of the data plane: connections that leak, and a primary that is gone.

Rule: as in `faults`, each is done as life does it. A report opens transactions, locks rows and
forgets them; a server is killed and nobody starts it. What the operators find afterwards (locks,
held connections, a standby without a primary) PostgreSQL and the pooler made themselves.
"""

import contextlib
import random

import psycopg

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.faults import CONNECTION_LEAK, PRIMARY_DOWN, Injected
from holdfast.sandbox.site import Site
from holdfast.sandbox.standby import DatabasePair

REPORT = "weekly-report"
ITEMS = 200  # as many as the schema makes


class ConnectionLeak:
    """A report whose sessions begin a transaction, lock some rows and are never ended.

    It comes through the pooler as everybody does, so each session holds a server connection. When
    its connections break it does not come back.
    """

    def __init__(self, site: Site, *, sessions: int | None = None) -> None:
        self._connections: list[psycopg.Connection[tuple[object, ...]]] = []
        rng = random.Random(f"report/{site.blueprint.seed}")
        count = sessions or site.blueprint.pool_size - 1
        locked = rng.sample(range(1, ITEMS + 1), rng.randint(7, 9))
        self._injected = Injected(
            fault=CONNECTION_LEAK,
            injected_at=SystemClock().now(),
            entity=site.blueprint.pooler,
            detail={"application": REPORT, "sessions": str(count)},
        )
        try:
            for _ in range(count):
                self._begin(site)
            for number, connection in enumerate(self._connections):
                # Whoever orders one of these waits, on the one connection that is left.
                query = "SELECT price FROM items WHERE id = ANY(%s) FOR UPDATE"
                connection.execute(query, (locked[number::count],))
        except psycopg.Error as error:
            self.release()
            raise HoldfastError(
                f"the report could not open its {count} sessions: {error}; heal the platform first"
            ) from error

    @property
    def injected(self) -> Injected:
        return self._injected

    def _begin(self, site: Site) -> None:
        """Open a session and a transaction in it."""
        dsn = f"{site.pool_dsn()} application_name={REPORT}"
        connection = psycopg.connect(dsn, prepare_threshold=None)
        self._connections.append(connection)
        connection.execute("SELECT count(*) FROM items")

    def release(self) -> None:
        """End the report's sessions, as its owner would."""
        for connection in self._connections:
            with contextlib.suppress(psycopg.Error):
                connection.close()
        self._connections.clear()

    def heal(self) -> None:
        """The end of its sessions was all there was to do."""


class PrimaryDown:
    """The primary is killed, and nothing starts it again."""

    def __init__(self, site: Site, databases: DatabasePair) -> None:
        self._databases = databases
        self._injected = Injected(
            fault=PRIMARY_DOWN,
            injected_at=SystemClock().now(),
            entity=site.blueprint.database,
            detail={"directory": str(site.database_directory)},
        )
        databases.kill_first()

    @property
    def injected(self) -> Injected:
        return self._injected

    def release(self) -> None:
        """Nothing keeps it down but that nobody starts it."""

    def heal(self) -> None:
        """Start it again; where the standby was promoted meanwhile, as its standby."""
        if not self._databases.failed_over:
            self._databases.lift_bar()
            self._databases.start_first()
            self._databases.wait_until_streaming()
        elif not self._databases.first_follows:
            self._databases.rejoin_first()
            self._databases.wait_until_streaming(from_second=True)
