"""heads show|public-key: what has been signed, and the key to check it with elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json, add


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    heads = typer.Typer(
        help="See signed heads, and the key that checks them.", no_args_is_help=True
    )
    add(heads, show, "show")
    add(heads, public_key, "public-key")
    app.add_typer(heads, name="heads")


def show(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show up to which record each chain is signed.

    For example:
      holdfast heads show
    """
    from holdfast.app.desk import Desk
    from holdfast.app.verifying import signed_heads

    with Desk(directory) as desk:
        found = signed_heads(desk.ledger, directory)
    if as_json:
        output.document({"heads": found})
        return
    rows = [{**row, "incident": row["incident_id"], "signed_to": row["seq"]} for row in found]
    columns = ("incident", "records", "signed_to", "at", "key_id")
    output.table(rows, columns, empty="there is no chain yet")


def public_key(
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the public keys, in PEM, with their fingerprints.

    Keep them where the database's administrator can't write: `holdfast incident verify FILE
    --public-key KEY` then needs nothing of this machine.

    For example:
      holdfast heads public-key --out heads.pub
    """
    from holdfast.app.files import write_whole
    from holdfast.app.heads import KEY_NAME, PUBLIC_NAME, trusted_keys
    from holdfast.kernel.errors import NotFoundError

    keys = trusted_keys(directory)
    if not keys:
        raise NotFoundError(
            f"there is no {PUBLIC_NAME} in {directory}; `holdfast init` or `holdfast serve` makes "
            f"it together with {KEY_NAME}"
        )
    pem = "".join(key.pem for key in keys.values())
    if out is not None:
        write_whole(out, pem)
    if as_json:
        output.document({"keys": [{"key_id": key.key_id, "pem": key.pem} for key in keys.values()]})
        return
    if out is None:
        output.lines(pem.rstrip("\n").split("\n"))
    for key in keys.values():
        output.note(f"fingerprint {key.key_id}" + (f", written to {out}" if out else ""))
