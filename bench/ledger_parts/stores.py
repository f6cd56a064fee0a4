"""Opens the ledger that a URL names, as `HOLDFAST_DATABASE_URL` would."""

from pathlib import Path

from bench.ledger_parts.incidents import CLOCK
from holdfast.ledger import open_ledger
from holdfast.response.store import Ledger


def at_url(url: str) -> Ledger:
    return open_ledger(url, CLOCK)


def sqlite_url(directory: Path, name: str) -> str:
    return f"sqlite:///{directory / name}.db"
