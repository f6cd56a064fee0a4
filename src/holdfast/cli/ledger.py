"""ledger backup|restore|verify: keep the one thing that can't be made again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Heads, Json, PublicKey, add

if TYPE_CHECKING:
    from holdfast.ledger.backup import Copied

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup: one SQLite file.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    ledger = typer.Typer(help="Back up, restore and check the ledger.", no_args_is_help=True)
    add(ledger, backup, "backup")
    add(ledger, restore, "restore")
    add(ledger, verify, "verify")
    app.add_typer(ledger, name="ledger")


def backup(file: File, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Write the whole ledger to one file.

    It is one moment, taken while everything runs. The file is the same for SQLite and
    PostgreSQL. FILE must not be there yet. Exit 1 when a chain was not whole; it is copied
    as it is.

    For example:
      holdfast ledger backup /backup/holdfast-2030-01-01.db
    """
    from holdfast.app.backups import back_up_here

    copied = back_up_here(directory, file, _show)
    _tell(copied, file, as_json=as_json)
    if not as_json:
        size = file.stat().st_size
        output.line(f"wrote {copied.chains} chains, {copied.records} records, {size} bytes: {file}")
        for verdict in copied.broken:
            output.error(f"{verdict.incident_id} is BROKEN: {verdict.problem}")
    if copied.broken:
        raise typer.Exit(1)


def restore(file: File, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Put a backup into an empty database of either kind.

    HOLDFAST_DATABASE_URL names it. Every chain is checked before and after. Leases are taken
    away and fences raised, so that no worker of the old database goes on. What was done since
    the backup was taken is not in it.

    For example:
      holdfast ledger restore /backup/holdfast-2030-01-01.db
    """
    from holdfast.app.backups import restore_here

    copied = restore_here(directory, file, _show)
    _tell(copied, file, as_json=as_json)
    if not as_json:
        output.line(f"restored {copied.chains} chains, {copied.records} records; all are whole")
    if copied.open_incidents:
        output.note(
            f"{copied.open_incidents} incidents are open, and what was done since the backup is "
            'not in it: run `holdfast freeze --because "restored"` before you start Holdfast, '
            "look at them, then thaw"
        )


def verify(
    *,
    public_key: PublicKey = None,
    heads: Heads = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Check every chain: its hashes and signatures.

    `_system` too. Exit 1 when one was changed, cut off or rewritten; its first bad record is named.

    For example:
      holdfast ledger verify
    """
    from holdfast.app.desk import Desk
    from holdfast.app.verifying import Proof, verify_all
    from holdfast.cli.verifying import say

    with Desk(directory) as desk:
        proof = Proof(directory, public_key=public_key, heads=heads)
        verdicts = list(verify_all(desk.ledger, proof))
    broken = [verdict for verdict in verdicts if not verdict.ok]
    records = sum(verdict.records for verdict in verdicts)
    if as_json:
        output.document(
            {
                "ok": not broken,
                "chains": len(verdicts),
                "records": records,
                "broken": [verdict.as_data() for verdict in broken],
                "verdicts": [verdict.as_data() for verdict in verdicts],
            }
        )
    else:
        for verdict in broken:
            say(verdict)
        what = f"{len(broken)} are BROKEN" if broken else "all are whole"
        output.line(f"{len(verdicts)} chains, {records} records: {what}")
    if broken:
        raise typer.Exit(1)


def _tell(copied: "Copied", file: Path, *, as_json: bool) -> None:
    if as_json:
        output.document(
            {
                "ok": not copied.broken,
                "file": str(file),
                "chains": copied.chains,
                "records": copied.records,
                "open_incidents": copied.open_incidents,
                "broken": [verdict.as_data() for verdict in copied.broken],
            }
        )


def _show(table: str, done: int, total: int) -> None:
    """Show on a terminal how far it is; elsewhere nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{table}: {done} of {total}" + ("\n" if done == total else ""))
        sys.stderr.flush()
