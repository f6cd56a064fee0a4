"""runbook list|show|lint|test."""

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

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The runbook's name, from `runbook list`.")
]
Recorded = Annotated[
    str | None,
    typer.Option(
        "--incident", metavar="INCIDENT", help="Rehearse on what was recorded of this incident."
    ),
]
StateFile = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="FILE", help="Rehearse on a state file, or on an exported incident."
    ),
]
Service = Annotated[
    str | None, typer.Option(metavar="NAME", help="The service that a state file is about.")
]
Region = Annotated[
    str | None, typer.Option(metavar="NAME", help="The region that a state file is about.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    runbook = typer.Typer(help="Read and check runbooks.", no_args_is_help=True)
    add(runbook, list_runbooks, "list")
    add(runbook, show, "show")
    add(runbook, lint, "lint")
    add(runbook, rehearse, "test")
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
    name: Name,
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


def lint(
    *,
    directory: Dir = HERE,
    folder: Folder = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="A rule file of Prometheus; may be repeated."),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the web too whether links lead anywhere.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for a warning too.")] = False,
    as_json: Json = False,
) -> None:
    """Check every runbook for what would fail at night.

    Unknown actions, targets that can't be reached, parameters that are refused, criteria that can't
    be judged, steps without undo, dead links, a match that no incident or that two runbooks meet,
    incidents and alerts without a runbook.

    Exit 1 when there is an error; warnings alone exit 0.

    For example:
      holdfast runbook lint
      holdfast runbook lint --strict --rules rules.yaml
    """
    from holdfast.app.linting import lint_folder, lint_installation

    given = tuple(rules or ())
    if folder is None:
        found = lint_installation(directory, rules=given, online=online)
    else:
        found = lint_folder(folder, rules=given, online=online)
    errors = sum(finding["severity"] == "error" for finding in found)
    if as_json:
        warnings = len(found) - errors
        output.document({"findings": found, "errors": errors, "warnings": warnings})
    else:
        for finding in found:
            output.line(
                f"{finding['path']}:{finding['line']}: {finding['severity']}: {finding['text']}"
            )
        good = "no finding: every runbook can be performed and judged"
        output.line(f"{len(found)} findings, {errors} of them errors" if found else good)
    if errors or (strict and found):
        raise typer.Exit(1)


def rehearse(
    name: Name,
    *,
    incident: Recorded = None,
    state: StateFile = None,
    service: Service = None,
    region: Region = None,
    directory: Dir = HERE,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Rehearse a runbook; nothing is performed.

    Shows what would be matched, refused, done and proven, and asks no target. Without --incident
    and --state: on the file NAME.state.yaml beside the runbook.

    Exit 1 when it would not be chosen, or its recovery would not be proven.

    For example:
      holdfast runbook test restart-a-down-service --service my-api
      holdfast runbook test restart-a-down-service --incident INC-1
    """
    from holdfast.app.rehearsing import rehearsed
    from holdfast.cli.rehearsing import rehearsal_text

    found = rehearsed(
        directory,
        name,
        incident=incident,
        state=state,
        service=service,
        region=region,
        folder=folder,
    )
    if as_json:
        output.document(found.data)
    else:
        output.fitted(rehearsal_text(found.data))
    if not found.passed:
        raise typer.Exit(1)
