"""The tables of a ledger, alike in every store: what a backup holds and a restore puts back.

A row is a tuple in the order of the columns; truth is 0 or 1, whatever the store
makes of it. A table that is not listed here would be lost in a backup, so a test
compares this with both schemas.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Protocol

from holdfast.ledger.chain import ChainVerdict, verify_chain
from holdfast.ledger.migrate import Dialect
from holdfast.response.store import Link

Row = tuple[Any, ...]

TABLES: Mapping[str, tuple[str, ...]] = {
    "incident": (
        "id",
        "n",
        "fence",
        "owner",
        "lease_until",
        "seq",
        "head",
        "ended",
        "due_at",
        "parked",
    ),
    "record": ("incident_id", "seq", "body", "hash"),
    "kv": ("key", "value"),
    "inbox": ("n", "id", "incident_id", "kind", "actor", "data", "at", "answer"),
    "action_log": (
        "key",
        "incident_id",
        "step_id",
        "attempt",
        "action",
        "target",
        "at",
        "settled",
    ),
    "counter": ("name", "value"),
    "head_signature": ("incident_id", "seq", "head", "at", "key_id", "signature"),
    "audit_blob": ("digest", "incident_id", "step_id", "at", "expires_at", "sealed"),
    "change": ("id", "at", "data"),
}
# What a migration puts into a database that nobody has used yet.
SEEDED = frozenset({"incident", "counter"})
BOOLEANS = frozenset({"ended", "parked", "settled"})
ORDER: Mapping[str, str] = {"incident": "n", "record": "incident_id, seq", "inbox": "n"}


class Tables(Protocol):
    """One database as of one moment, or inside one transaction."""

    @property
    def dialect(self) -> Dialect:
        """Say whose migrations it has."""
        ...

    def count(self, table: str) -> int:
        """Say how many rows there are."""
        ...

    def read(self, table: str) -> Iterator[Row]:
        """Give every row; records in the order of their chains."""
        ...

    def write(self, table: str, rows: Iterable[Row]) -> None:
        """Insert these rows."""
        ...

    def clear(self, table: str) -> None:
        """Take every row away."""
        ...

    def migrations(self) -> Mapping[int, str]:
        """Give the number and the name of every migration that was applied."""
        ...


def verify_tables(tables: Tables) -> Iterator[ChainVerdict]:
    """Check every chain against its hashes and its head, in one reading of the records."""
    heads = {row[0]: (row[5], row[6]) for row in tables.read("incident")}
    for incident_id, rows in groupby(tables.read("record"), key=lambda row: str(row[0])):
        _, head = heads.pop(incident_id, (0, None))
        links = (Link(incident_id=incident_id, seq=r[1], body=r[2], hash=r[3]) for r in rows)
        verdict = verify_chain(incident_id, links, head)
        if verdict.ok and head is None:
            verdict = ChainVerdict(
                incident_id=incident_id,
                ok=False,
                records=verdict.records,
                head=verdict.head,
                problem="nothing says where it ends: its row among the incidents is missing",
            )
        yield verdict
    for incident_id, (seq, head) in heads.items():
        if seq:
            yield verify_chain(incident_id, (), head)
