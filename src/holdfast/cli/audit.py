"""audit list|show: whole outputs of actions, for who holds the scope `audit`."""

import sys
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Incident, Json, add


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    audit = typer.Typer(
        help="Read whole outputs of actions; scope audit, every read is recorded.",
        no_args_is_help=True,
    )
    add(audit, list_outputs, "list")
    add(audit, show, "show")
    app.add_typer(audit, name="audit")


def list_outputs(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """List the whole outputs of an incident's steps.

    For example:
      holdfast audit list INC-1
    """
    from holdfast.app.audit import AuditReading
    from holdfast.app.desk import Desk
    from holdfast.policy import Scope

    with Desk(directory) as desk:
        caller = desk.allow(Scope.AUDIT, "`audit list`")
        desk.state(incident_id)
        reading = AuditReading(desk.ledger, directory, caller.actor, desk.clock)
        found = [entry.as_data() for entry in reading.entries(incident_id)]
    if as_json:
        output.document({"incident_id": incident_id, "outputs": found})
        return
    rows = [{**row, "step": row["step_id"], "until": str(row["expires_at"])[:10]} for row in found]
    columns = ("step", "attempt", "bytes", "kept", "until", "digest")
    output.table(rows, columns, empty=f"no output of {incident_id} is in the audit store")


def show(
    what: Annotated[
        str, typer.Argument(metavar="DIGEST|INCIDENT", help="A digest, or an incident and a step.")
    ],
    step_id: Annotated[
        str | None, typer.Argument(metavar="STEP", help="Such as S1: its newest output.")
    ] = None,
    *,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the whole output of an action, as it was. It can hold secrets.

    The digest stands in the step's record as output_digest. Needs a person's token with the
    scope audit in HOLDFAST_TOKEN; the read is recorded before anything is shown.

    For example:
      holdfast audit show INC-1 S1
    """
    from holdfast.app.audit import AuditReading
    from holdfast.app.desk import Desk
    from holdfast.policy import Scope

    with Desk(directory) as desk:
        caller = desk.allow(Scope.AUDIT, "`audit show`")
        reading = AuditReading(desk.ledger, directory, caller.actor, desk.clock)
        if step_id is None:
            text = reading.of_digest(what)
        else:
            desk.state(what)
            text = reading.of_step(what, step_id)
    if as_json:
        output.document({"output": text.decode("utf-8", "replace"), "bytes": len(text)})
        return
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
