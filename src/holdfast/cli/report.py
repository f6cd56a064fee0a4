"""report: what Holdfast would have done, beside what people did."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json, add


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    add(app, report)


def report(
    *,
    would_have_done: Annotated[
        bool,
        typer.Option("--would-have-done", help="The one report that there is; say it by name."),
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From when on: 24h, 90m, or a moment.")
    ] = "24h",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell what would have been done, and what people did.

    In mode observe nothing is performed. This puts the steps that would have been beside what
    people did and how each incident ended.

    For example:
      holdfast report --would-have-done --since 24h
    """
    from holdfast.app.config import load_config
    from holdfast.app.desk import Desk
    from holdfast.app.files import write_whole
    from holdfast.app.report import read_report, since_of
    from holdfast.kernel.errors import BadInputError
    from holdfast.learning import would_have_text

    if not would_have_done:
        raise BadInputError("no report is named; write --would-have-done", field="would-have-done")
    with Desk(directory) as desk:
        now = desk.clock.now()
        found = read_report(
            desk.ledger, load_config(directory), since=since_of(since, now), until=now
        )
    text = would_have_text(found)
    if out is not None:
        write_whole(out, text)
        if not as_json:
            output.note(f"wrote {out}")
    if as_json:
        output.document(found.as_data())
    elif out is None:
        output.line(text.rstrip("\n"))
