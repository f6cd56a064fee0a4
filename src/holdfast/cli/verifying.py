"""incident verify: is a chain as it was written, and who can prove it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Heads, Json, PublicKey

if TYPE_CHECKING:
    from holdfast.ledger import ChainVerdict


def verify(
    what: Annotated[
        str | None,
        typer.Argument(metavar="INCIDENT|FILE", help="Such as INC-1, or an exported file."),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An exported file, instead of the ledger.")
    ] = None,
    public_key: PublicKey = None,
    heads: Heads = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Check the hashes and signatures of a chain.

    Exit 1 when something was changed, cut off or rewritten; the first bad record is named.
    INCIDENT may be `_system`: tokens, freezes and refusals. A file needs no database. Without
    --public-key, the keys of the installation count for the ledger, and none for a file.

    For example:
      holdfast incident verify INC-1
      holdfast incident verify INC-1.jsonl --public-key heads.pub --heads heads.jsonl
    """
    from holdfast.app.verifying import Proof, verify_file
    from holdfast.kernel.errors import BadInputError

    incident_id = what
    if file is None and what is not None and _is_file(what):
        file, incident_id = Path(what), None
    if file is None and incident_id is None:
        raise BadInputError("give either an incident or --file FILE")
    if file is not None:
        proof = Proof(directory, public_key=public_key, heads=heads, offline=True)
        verdict = verify_file(file, proof, incident_id)
    else:
        verdict = _in_ledger(directory, incident_id or "", public_key, heads)
    if as_json:
        output.document(verdict.as_data())
    else:
        say(verdict)
    if not verdict.ok:
        raise typer.Exit(1)


def _is_file(what: str) -> bool:
    """Tell a file from an incident: an id has neither a slash nor a dot."""
    return "/" in what or "." in what


def _in_ledger(
    directory: Path, incident_id: str, public_key: Path | None, heads: Path | None
) -> "ChainVerdict":
    from holdfast.app.desk import Desk
    from holdfast.app.verifying import Proof, verify_here

    with Desk(directory) as desk:
        proof = Proof(directory, public_key=public_key, heads=heads)
        if not any(one.mark.incident_id == incident_id for one in proof.exported):
            desk.links(incident_id)  # one that nobody has ever heard of is not found
        return verify_here(desk.ledger, incident_id, proof)


def say(verdict: "ChainVerdict") -> None:
    if verdict.ok:
        output.line(
            f"{verdict.incident_id}: {verdict.records} records, the chain is whole; "
            f"head {verdict.head.hex()}; {_covered(verdict)}"
        )
    else:
        where = f" at record {verdict.first_bad_seq}" if verdict.first_bad_seq else ""
        output.line(f"{verdict.incident_id}: BROKEN{where}: {verdict.problem}; {_covered(verdict)}")
    for note in verdict.notes:
        output.note(f"note: {note}")


def _covered(verdict: "ChainVerdict") -> str:
    if verdict.signed_up_to_seq is None:
        return "no checked signature covers it"
    after = verdict.records - verdict.signed_up_to_seq
    rest = f" (the {after} after it are not signed)" if after > 0 else ""
    return f"signed up to record {verdict.signed_up_to_seq} with key {verdict.key_id}{rest}"
