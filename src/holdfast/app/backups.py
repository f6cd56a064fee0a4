"""Backs up and restores the ledger of one installation, whichever store it is in."""

from pathlib import Path

from holdfast.app.ledger_place import database_address
from holdfast.kernel.actor import SYSTEM
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import NotFoundError
from holdfast.ledger.address import is_there, open_ledger
from holdfast.ledger.backup import Copied, Progress, back_up, restore

RESTORED = "restored"


def back_up_here(directory: Path, target: Path, progress: Progress) -> Copied:
    """Write the ledger of `directory` to the new file `target`, while everything runs.

    Raises NotFoundError where there is no ledger, and what `ledger.backup.back_up` raises.
    """
    address = database_address(directory)
    if not is_there(address):
        raise NotFoundError(
            f"there is no ledger at {address.shown}; run `holdfast init {directory}` or give --dir"
        )
    open_ledger(address).close()  # an older release's database is brought up to date first
    return back_up(address, target, progress)


def restore_here(
    directory: Path, source: Path, progress: Progress, clock: Clock | None = None
) -> Copied:
    """Put a backup into the empty ledger of `directory`, and put that on the record.

    Raises what `ledger.backup.restore` raises; nothing is changed then.
    """
    clock = clock or SystemClock()
    address = database_address(directory)
    copied = restore(source, address, progress)
    ledger = open_ledger(address, clock)
    try:
        data = {"from": source.name, "chains": copied.chains, "records": copied.records}
        ledger.append_system(RESTORED, data, SYSTEM, clock.now())
    finally:
        ledger.close()
    return copied
