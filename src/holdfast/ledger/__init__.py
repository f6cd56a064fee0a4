"""The durable, tamper-evident store: records, chains, claims, the inbox.

Rule: append only. A record is durable when `append` returns, and what could not
be written was not promised. No policy lives here: the ledger keeps, it does not
decide.
"""

from holdfast.ledger.chain import (
    ChainVerdict,
    Link,
    export_line,
    link_from_export,
    verify_chain,
)
from holdfast.ledger.sqlite import SqliteLedger

__all__ = [
    "ChainVerdict",
    "Link",
    "SqliteLedger",
    "export_line",
    "link_from_export",
    "verify_chain",
]
