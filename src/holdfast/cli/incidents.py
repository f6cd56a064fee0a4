"""incident ..., postmortem: reading incidents, and what people say about them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.looking import look
from holdfast.cli.options import HERE, Because, Dir, Incident, Json, Key, add
from holdfast.cli.packets import packet
from holdfast.cli.verifying import verify


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    incident = typer.Typer(
        help="Read incidents, own them, say what they were.", no_args_is_help=True
    )
    for name, command in (
        ("list", list_incidents),
        ("show", show),
        ("timeline", timeline),
        ("steps", steps),
        ("look", look),
        ("packet", packet),
        ("export", export),
        ("verify", verify),
        ("ack", ack),
        ("dismiss", dismiss),
        ("merge", merge),
        ("label", label),
        ("close", close),
    ):
        add(incident, command, name)
    app.add_typer(incident, name="incident")
    add(app, postmortem)


def list_incidents(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """List all incidents, newest first.

    For example:
      holdfast incident list
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        found = desk.summaries()
    if as_json:
        output.document({"incidents": found})
        return
    rows = [
        {
            **row,
            "incident": row["incident_id"],
            "state": _state(row),
            "opened": row["opened_at"][:16].replace("T", " "),
            "type": row["incident_type"],
            "cause": row["root_entity"],
            "reopened": row["reopened"] or None,
        }
        for row in found
    ]
    reopened = ("reopened",) if any(row["reopened"] for row in rows) else ()
    columns = ("incident", "state", "severity", "opened", *reopened, "type", "cause", "title")
    output.table(rows, columns, empty="no incident so far")


def _state(row: dict[str, Any]) -> str:
    """The phase, and what a person has to know beyond it."""
    over = row["phase"] in {"resolved", "closed", "dismissed", "merged"}
    marks = [name for name in ("held", "escalated") if row[name] and not over]
    return "+".join([row["phase"], *marks])


def show(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show one incident: state, causes, steps and why.

    For example:
      holdfast incident show INC-1
    """
    from holdfast.app.desk import Desk
    from holdfast.cli.showing import incident_text

    with Desk(directory) as desk:
        view = desk.show(incident_id)
    if as_json:
        output.document(view)
    else:
        output.fitted(incident_text(view))


def timeline(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show every record of an incident as one line.

    For example:
      holdfast incident timeline INC-1
    """
    from holdfast.app.desk import Desk
    from holdfast.cli.showing import timeline_line

    with Desk(directory) as desk:
        entries = desk.timeline(incident_id)
    if as_json:
        output.document({"incident_id": incident_id, "timeline": entries})
        return
    output.fitted(timeline_line(entry) for entry in entries)


def steps(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show the steps of an incident with their status.

    For example:
      holdfast incident steps INC-1
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        found = desk.show(incident_id)["steps"]
    if as_json:
        output.document({"incident_id": incident_id, "steps": found})
        return
    rows = [{**step, "step": step["step_id"], "key": step["idempotency_key"]} for step in found]
    columns = ("step", "status", "action", "target", "attempt", "key")
    output.table(rows, columns, empty=f"no step was proposed in {incident_id}")


def export(
    incident_id: Incident,
    *,
    directory: Dir = HERE,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    as_json: Json = False,  # noqa: ARG001 - the export is JSON Lines in any case
) -> None:
    """Write the records and signatures as JSON Lines.

    `holdfast incident verify FILE` checks such a file without the database.

    For example:
      holdfast incident export INC-1 --out INC-1.jsonl
    """
    from holdfast.app.desk import Desk
    from holdfast.app.exports import export_lines, write_lines

    with Desk(directory) as desk:
        written, records = export_lines(desk, incident_id)
    if out is None:
        output.lines(written)
    else:
        write_lines(out, written)
        output.note(f"wrote {records} records and {len(written) - records} signed heads to {out}")


def ask(
    directory: Path,
    incident_id: str,
    kind: str,
    data: dict[str, Any],
    *,
    as_json: bool,
    key: str | None = None,
) -> None:
    """Ask for something and print the answer. Raises RefusedError when it is refused."""
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        answer = desk.ask(incident_id, kind, data, key=key)
    if as_json:
        output.document(
            {"incident_id": incident_id, "ok": answer.ok, "message": answer.message, **answer.data}
        )
    else:
        output.line(f"{incident_id}: {answer.message}")


def ack(
    incident_id: Incident,
    *,
    because: Annotated[
        str | None, typer.Option("--because", metavar="TEXT", help="A word for the timeline.")
    ] = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Acknowledge and own it; nobody else is paged.

    For example:
      holdfast incident ack INC-1
    """
    ask(directory, incident_id, "ack", {"because": because}, key=key, as_json=as_json)


def dismiss(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Dismiss as a false alarm, with the reason.

    For example:
      holdfast incident dismiss INC-1 --because "load test, announced"
    """
    ask(directory, incident_id, "dismiss", {"because": because}, key=key, as_json=as_json)


def merge(
    incident_id: Incident,
    *,
    into: Annotated[str, typer.Option("--into", metavar="INCIDENT", help="The one that goes on.")],
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Merge it into another incident of the same fault.

    For example:
      holdfast incident merge INC-2 --into INC-1 --because "same outage"
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        desk.state(into)
    ask(
        directory,
        incident_id,
        "merge",
        {"into": into, "because": because},
        key=key,
        as_json=as_json,
    )


def label(
    incident_id: Incident,
    value: Annotated[str, typer.Argument(metavar="true|false", help="Was the alarm true?")],
    *,
    because: Annotated[str | None, typer.Option("--because", metavar="TEXT", help="Why.")] = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Say whether the alarm was true, to judge detection by.

    For example:
      holdfast incident label INC-1 false --because "load test"
    """
    from holdfast.kernel.errors import BadInputError

    words = {"true": "true_alarm", "false": "false_alarm"}
    if value not in words:
        raise BadInputError(f"label {value!r} is unknown; write true or false", field="label")
    ask(
        directory,
        incident_id,
        "label",
        {"label": words[value], "because": because},
        key=key,
        as_json=as_json,
    )


def close(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Close a resolved or dismissed incident.

    The reason may be where the postmortem is.

    For example:
      holdfast incident close INC-1 --because "postmortem: wiki/INC-1"
    """
    ask(directory, incident_id, "close", {"because": because}, key=key, as_json=as_json)


def postmortem(
    incident_id: Incident,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write the postmortem in Markdown from the ledger.

    For example:
      holdfast postmortem INC-1 --out INC-1.md
    """
    from holdfast.app.desk import Desk
    from holdfast.app.exports import postmortem_of
    from holdfast.app.files import write_whole

    with Desk(directory) as desk:
        text = postmortem_of(desk, incident_id)
    if out is not None:
        write_whole(out, text)
        if not as_json:
            output.note(f"wrote {out}")
    if as_json:
        output.line(
            json.dumps(
                {"incident_id": incident_id, "out": str(out) if out else None, "markdown": text}
            )
        )
    elif out is None:
        output.line(text)
