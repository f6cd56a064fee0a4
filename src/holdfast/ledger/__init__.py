"""The durable, tamper-evident store: records, chains, claims, the inbox.

Rule: append only. A record is durable when `append` returns, and what could not
be written was not promised. No policy lives here: the ledger keeps, it does not
decide.
"""

from typing import TYPE_CHECKING

from holdfast.ledger.address import open_ledger
from holdfast.ledger.chain import (
    ChainVerdict,
    export_line,
    link_from_export,
    verify,
    verify_chain,
)
from holdfast.ledger.memory import MemoryLedger
from holdfast.ledger.sqlite import SqliteLedger
from holdfast.response.store import Link

if TYPE_CHECKING:
    from holdfast.ledger.postgres import PostgresLedger

__all__ = [
    "ChainVerdict",
    "Link",
    "MemoryLedger",
    "PostgresLedger",
    "SqliteLedger",
    "export_line",
    "link_from_export",
    "open_ledger",
    "verify",
    "verify_chain",
]


def __getattr__(name: str) -> object:
    """Import what needs an extra at its first use: psycopg is one."""
    if name == "PostgresLedger":
        from holdfast.ledger.postgres import PostgresLedger  # noqa: PLC0415 - an extra

        return PostgresLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
