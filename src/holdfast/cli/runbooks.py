"""runbook list|show|lint."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json, add

Folder = Annotated[
    Path | None,
    typer.Option(
        "--runbooks", metavar="FOLDER", help="A folder of runbooks, instead of the installation's."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    runbook = typer.Typer(help="Read and check runbooks.", no_args_is_help=True)
    add(runbook, list_runbooks, "list")
    add(runbook, show, "show")
    add(runbook, lint, "lint")
    app.add_typer(runbook, name="runbook")


def _folder(directory: Path, folder: Path | None) -> Path:
    from holdfast.app.config import load_config

    return folder or directory / load_config(directory).runbooks


def list_runbooks(*, directory: Dir = HERE, folder: Folder = None, as_json: Json = False) -> None:
    """List the runbooks with what they match.

    For example:
      holdfast runbook list
    """
    from holdfast.app.installation import load_runbooks

    found = [runbook.as_data() for runbook in load_runbooks(_folder(directory, folder))]
    if as_json:
        output.document({"runbooks": found})
        return
    rows = [
        {**row, "matches": row["match"]["incident_type"], "steps": len(row["steps"])}
        for row in found
    ]
    columns = ("name", "matches", "steps", "mode", "owner", "version", "title")
    output.table(rows, columns, empty="no runbook; put Markdown files into the folder")


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The runbook's name, from `runbook list`.")
    ],
    *,
    directory: Dir = HERE,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Show one runbook as text.

    With --json: what Holdfast understood of it.

    For example:
      holdfast runbook show restart-a-down-service
    """
    from holdfast.app.installation import load_runbooks
    from holdfast.kernel.errors import NotFoundError

    found = {runbook.name: runbook for runbook in load_runbooks(_folder(directory, folder))}
    if name not in found:
        raise NotFoundError(
            f"runbook {name!r} is not known; known are {', '.join(found) or 'none'}"
        )
    if as_json:
        output.document(found[name].as_data())
    else:
        output.line(found[name].text)


def lint(*, directory: Dir = HERE, folder: Folder = None, as_json: Json = False) -> None:
    """Check every runbook for what would fail at night.

    Unknown actions, criteria that can't be judged, steps without undo, dead links.

    Exit 1 when there is an error; warnings alone exit 0.

    For example:
      holdfast runbook lint
    """
    from holdfast.app.config import load_catalogue, load_config
    from holdfast.app.linting import lint_folder

    if folder is None:
        config = load_config(directory)
        catalogue = load_catalogue(directory / config.catalogue)
        found = lint_folder(directory / config.runbooks, catalogue)
    else:
        found = lint_folder(folder)
    errors = sum(finding["severity"] == "error" for finding in found)
    if as_json:
        output.document({"findings": found, "errors": errors})
    else:
        for finding in found:
            output.line(
                f"{finding['path']}:{finding['line']}: {finding['severity']}: {finding['text']}"
            )
        good = "no finding: every runbook can be performed and judged"
        output.line(f"{len(found)} findings, {errors} of them errors" if found else good)
    if errors:
        raise typer.Exit(1)
