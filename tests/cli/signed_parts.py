"""A signed incident in an installation, for the tests of verifying and of the audit store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.app.head_receivers import FileReceiver
from holdfast.app.heads import HeadKeeper, open_signer
from holdfast.kernel import SystemClock
from holdfast.ledger import SqliteLedger
from tests.ledger.ledger_parts import batch, opened
from tests.surface import Installed

AWAY = "away.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Where everything is: the installation, its database, its heads kept elsewhere."""

    directory: Path
    key: Path
    heads: Path

    @property
    def database(self) -> Path:
        return self.directory / "holdfast.db"


@contextmanager
def ledger_of(directory: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(directory / "holdfast.db")
    try:
        yield ledger
    finally:
        ledger.close()


def sign(directory: Path, heads: Path) -> None:
    """Sign every head, as `serve` does, and export it."""
    with ledger_of(directory) as ledger:
        HeadKeeper(
            directory=directory,
            ledger=ledger,
            signer=open_signer(directory),
            clock=SystemClock(),
            every_s=60.0,
            to=[FileReceiver(heads)],
        ).round()


def signed_incident(here: Installed, elsewhere: Path) -> Signed:
    """Write two incidents, of six records and of one; sign them after three and at the end."""
    elsewhere.mkdir()
    heads = elsewhere / AWAY
    with ledger_of(here.directory) as ledger:
        claim = ledger.append(batch(opened(ledger), 2))
        opened(ledger)
    sign(here.directory, heads)
    with ledger_of(here.directory) as ledger:
        ledger.append(batch(claim, 3))
    sign(here.directory, heads)
    public = open_signer(here.directory).public
    key = elsewhere / "heads.pub"
    key.write_text(public.pem)
    return Signed(directory=here.directory, key=key, heads=heads)
