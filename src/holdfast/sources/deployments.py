"""Recent changes from the deployments table: what was deployed, when, by whom.

Read-only in every sense: a read-only transaction with a statement timeout. The driver is
an extra and is imported when it is needed.
"""

import importlib
import re
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

from holdfast.kernel.errors import BadInputError, HoldfastError

# Newest first, bounded: a deploy storm must not fill the ledger.
RECENT = """
select id, deployed_at, service, version, previous_version, deployed_by, summary
from {table}
where deployed_at >= %s
order by deployed_at desc, id desc
limit 200
"""
_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")


class SourceError(HoldfastError):
    """A source can't be read now. The message names it and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was changed on purpose; a recent one is a suspect."""

    id: str
    at: datetime
    kind: str
    service: str
    version: str
    previous: str | None
    author: str | None
    summary: str | None


class DeploymentsSource:
    """A deployments table, as the catalogue's `history: deployments` names it."""

    def __init__(self, dsn: str, *, table: str = "deployments", timeout_s: float = 5.0) -> None:
        if not _TABLE.fullmatch(table):
            raise BadInputError(
                f"deployments.table is {table!r}; write the name of a table, such as deployments",
                field="deployments.table",
            )
        self._dsn = dsn
        self._query = RECENT.format(table=table)
        self._table = table
        self._timeout_s = timeout_s

    def recent(self, since: datetime) -> tuple[Change, ...]:
        """List the deployments since `since`, newest first. Raises SourceError."""
        psycopg = _driver()
        limit_ms = int(self._timeout_s * 1000)
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=max(2, int(self._timeout_s)),
                options=f"-c statement_timeout={limit_ms} -c default_transaction_read_only=on",
            ) as connection:
                rows = connection.execute(self._query, (since,)).fetchall()
        except psycopg.Error as error:
            raise SourceError(
                f"deployments can't be read from table {self._table} "
                f"({str(error).strip().splitlines()[0]}); "
                "check deployments.dsn, and that the role may select from the table"
            ) from error
        return tuple(_change(row) for row in rows)


def _driver() -> ModuleType:
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise SourceError(
            "deployments need the PostgreSQL driver, which is not installed; "
            "run `pip install 'holdfast[postgres]'`"
        ) from error


def _change(row: tuple[Any, ...]) -> Change:
    number, at, service, version, previous, author, summary = row
    return Change(
        id=str(number),
        at=at,
        kind="deploy",
        service=service,
        version=version,
        previous=previous,
        author=author,
        summary=summary,
    )
