"""Reads which release was deployed when, by whom, and in place of what.

The table is the memory of the deploy tool; Holdfast only reads it. A rollback
adds no row, so what runs now is the release link's business, not this table's.
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from holdfast.checks.postgres import read_only_session
from holdfast.kernel.clock import format_at
from holdfast.kernel.errors import BadInputError

ROWS_MAX = 100
COLUMNS = "id, service, version, previous_version, deployed_at, deployed_by, summary"
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One row of the deployments table."""

    id: int
    service: str
    version: str
    previous_version: str | None
    deployed_at: datetime
    deployed_by: str | None
    summary: str | None

    def as_data(self, *, now: datetime) -> dict[str, Any]:
        """Give it as plain data, with its age in seconds at `now`."""
        return {
            **asdict(self),
            "deployed_at": format_at(self.deployed_at),
            "age_s": round((now - self.deployed_at).total_seconds(), 3),
        }


class DeploymentHistory:
    """The deployments table of one PostgreSQL database."""

    def __init__(
        self,
        dsn: str,
        *,
        table: str = "deployments",
        statement_timeout_s: float = 5.0,
        connect_timeout_s: int = 3,
    ) -> None:
        if not _TABLE.match(table):
            raise BadInputError(
                f"deployments.table is {table!r}, which is no plain table name;"
                " write it as `deployments` or `schema.deployments`",
                field="deployments.table",
            )
        self._dsn = dsn
        self._table = table
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s

    def since(self, at: datetime) -> tuple[Deployment, ...]:
        """List what was deployed at or after `at`, the newest first, at most 100."""
        return self._select("deployed_at >= %s", (at,), ROWS_MAX)

    def newest(self, service: str) -> Deployment | None:
        """Find the newest deployment of a service, or None."""
        return next(iter(self._select("service = %s", (service,), 1)), None)

    def previous_release(self, service: str, current: str) -> tuple[str | None, str]:
        """Name the release to go back to from `current`, or None, and say why.

        Only the newest deployment is undone. A link that is no longer at it was
        moved already, and going back further would be a guess.
        """
        newest = self.newest(service)
        if newest is None:
            return None, f"table {self._table} holds no deployment of {service}"
        if newest.version != current:
            return None, (
                f"{service} runs {current}, but its newest deployment is {newest.version}"
                f" ({format_at(newest.deployed_at)}): it is rolled back already,"
                " or was changed by hand"
            )
        if not newest.previous_version:
            return None, f"deployment {newest.id} of {service} {current} names no previous version"
        return newest.previous_version, (
            f"deployment {newest.id} put {current} in place of {newest.previous_version}"
            f" at {format_at(newest.deployed_at)}"
        )

    def _select(self, where: str, values: tuple[Any, ...], limit: int) -> tuple[Deployment, ...]:
        # The table's name passed the pattern above; every value is a parameter.
        query = (
            f"SELECT {COLUMNS} FROM {self._table} WHERE {where}"  # noqa: S608
            " ORDER BY deployed_at DESC, id DESC LIMIT %s"
        )
        with read_only_session(
            self._dsn,
            statement_timeout_s=self._statement_timeout_s,
            connect_timeout_s=self._connect_timeout_s,
        ) as connection:
            rows = connection.execute(query.encode(), (*values, limit)).fetchall()
        return tuple(Deployment(**row) for row in rows)
