"""Says whether the database is short of connections, or jammed behind a lock, and by whom.

Reads pg_stat_activity in a read-only transaction. It also says what its own role
could do: one that can write, or can't see other sessions, is a mistake in the
installation that nobody would notice otherwise.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.checks.postgres import read_only_session
from holdfast.kernel.redact import bounded
from holdfast.response.ports import CheckContext, CheckResult, Health

if TYPE_CHECKING:
    import psycopg

QUERY_CHARS_MAX = 200

# Counts sessions of clients; our own is left out, as it is there only because we look.
COUNTS = """
SELECT count(*) AS total,
       count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting_on_locks,
       current_setting('max_connections')::int AS max_connections,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all_sessions
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

# Finds who others wait for. pg_blocking_pids takes a lock itself: asked only for those that wait.
BLOCKERS = """
WITH waiting AS MATERIALIZED (
    SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 100
), blocking AS MATERIALIZED (
    SELECT unnest(pg_blocking_pids(pid)) AS pid FROM waiting
)
SELECT a.pid, coalesce(a.application_name, '') AS application, coalesce(a.query, '') AS query,
       coalesce(a.state, 'unknown') AS state,
       extract(epoch FROM statement_timestamp() - coalesce(a.xact_start, a.query_start))::float
           AS held_s,
       count(*)::int AS blocks
FROM blocking JOIN pg_stat_activity a USING (pid)
WHERE a.pid NOT IN (SELECT pid FROM waiting)
GROUP BY 1, 2, 3, 4, 5
ORDER BY blocks DESC, a.pid
LIMIT 10
"""

# Asks what the role may do, whatever this session's own read-only setting says.
CAN_WRITE = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    OR has_database_privilege(current_database(), 'CREATE')
    OR EXISTS (SELECT FROM pg_namespace n
               WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                 AND has_schema_privilege(n.oid, 'CREATE'))
    OR EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'v', 'f')
                 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                 AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS can_write
"""


class DatabaseConnections:
    """Degraded with more than 5 sessions waiting on locks, or 90 % of max_connections in use."""

    name = "database_connections"

    def __init__(
        self,
        dsn: str,
        *,
        statement_timeout_s: float = 5.0,
        connect_timeout_s: int = 3,
        waiting_max: int = 5,
        used_ratio_max: float = 0.9,
    ) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._waiting_max = waiting_max
        self._used_ratio_max = used_ratio_max
        self._role_can_write: bool | None = None

    def run(self, context: CheckContext) -> CheckResult:
        with read_only_session(
            self._dsn,
            statement_timeout_s=self._statement_timeout_s,
            connect_timeout_s=self._connect_timeout_s,
        ) as connection:
            data = self._read(connection)
        problems = self._problems(data)
        return CheckResult(
            name=self.name,
            status=Health.DEGRADED if problems else Health.HEALTHY,
            summary="; ".join([_counted(data), *problems, *_warnings(data)]),
            at=context.now,
            data=data,
        )

    def _read(self, connection: "psycopg.Connection[dict[str, Any]]") -> dict[str, Any]:
        if self._role_can_write is None:
            self._role_can_write = bool(_one(connection, CAN_WRITE)["can_write"])
        counts = _one(connection, COUNTS)
        blockers = connection.execute(BLOCKERS).fetchall() if counts["waiting_on_locks"] else []
        return {
            **counts,
            "used_ratio": round(counts["total"] / counts["max_connections"], 4),
            "blockers": [
                {**row, "query": bounded(row["query"], limit=QUERY_CHARS_MAX)} for row in blockers
            ],
            "role_can_write": self._role_can_write,
        }

    def _problems(self, data: Mapping[str, Any]) -> list[str]:
        problems = []
        if data["waiting_on_locks"] > self._waiting_max:
            text = f"{data['waiting_on_locks']} wait on locks (threshold {self._waiting_max})"
            problems.append(text + _behind(data["blockers"]))
        if data["used_ratio"] > self._used_ratio_max:
            problems.append(
                f"{data['used_ratio']:.0%} of max_connections in use"
                f" (threshold {self._used_ratio_max:.0%})"
            )
        return problems


def _one(connection: "psycopg.Connection[dict[str, Any]]", query: str) -> dict[str, Any]:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always has a row
    return row


def _counted(data: Mapping[str, Any]) -> str:
    return (
        f"{data['total']} of {data['max_connections']} connections: {data['active']} active,"
        f" {data['idle']} idle, {data['waiting_on_locks']} waiting on locks"
    )


def _behind(blockers: list[dict[str, Any]]) -> str:
    if not blockers:
        return ""
    first = blockers[0]
    held = "for an unknown time" if first["held_s"] is None else f"for {first['held_s']:.0f} s"
    return f", behind pid {first['pid']} ({first['application'] or 'no name'}, {held})"


def _warnings(data: Mapping[str, Any]) -> list[str]:
    warnings = []
    if data["role_can_write"]:
        warnings.append("warning: the role of this check can write; give it one that can't")
    if not data["sees_all_sessions"]:
        warnings.append(
            "warning: other roles' sessions are hidden and counted as neither;"
            " grant pg_read_all_stats to the role"
        )
    return warnings
