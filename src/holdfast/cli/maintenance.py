"""maintenance ...: people say when they work on what, so that nothing opens or acts there."""

from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Because, Dir, Json, add

_NAMED_MOST = 3


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    maintenance = typer.Typer(
        help="Announce maintenance: no incident, no action there.", no_args_is_help=True
    )
    for name, command in (("add", add_one), ("list", list_them), ("end", end)):
        add(maintenance, command, name)
    app.add_typer(maintenance, name="maintenance")


def add_one(
    *,
    scope: Annotated[
        str,
        typer.Option("--scope", metavar="SCOPE", help="SERVICE, SERVICE@REGION, region:NAME, all."),
    ],
    because: Because,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="When it begins; now, without it."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="When it ends, such as 2030-01-05T04:00Z."),
    ] = None,
    lasting: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Or how long: 90m, 2h. At most 720h."),
    ] = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Announce a maintenance window.

    While it is open nothing in its scope opens an incident and nothing there is acted on. What is
    still wrong when it ends opens then.

    For example:
      holdfast maintenance add --scope my-api@eu --for 2h --because "we move its disks"
    """
    from holdfast.app.desk import Desk
    from holdfast.app.maintenance import add_window, window_span
    from holdfast.kernel.clock import format_at

    with Desk(directory) as desk:
        starts_at, ends_at = window_span(desk.clock.now(), start, until, lasting)
        fact = add_window(desk, scope, starts_at, ends_at, because)
    shown = {"from": format_at(fact.starts_at), "to": format_at(fact.ends_at)}
    span = f"from {_minute(shown['from'])} to {_minute(shown['to'])}"
    text = f"{fact.window_id}: {fact.scope} is in maintenance {span}"
    if as_json:
        said = {"window_id": fact.window_id, "scope": fact.scope, **shown}
        output.document({"ok": True, "message": text, **said})
    else:
        output.line(text)


def list_them(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over for more than a week.")
    ] = False,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """List maintenance windows and what they kept quiet.

    For example:
      holdfast maintenance list
    """
    from holdfast.app.desk import Desk
    from holdfast.app.maintenance import list_windows

    with Desk(directory) as desk:
        found = list_windows(desk, everything=everything)
    if as_json:
        output.document({"windows": found})
        return
    columns = ("window", "state", "scope", "from", "to", "by", "kept_quiet", "because")
    output.table([_row(window) for window in found], columns, empty="no maintenance window")


def _row(window: dict[str, Any]) -> dict[str, Any]:
    series = window["suppressed"]
    more = f" and {len(series) - _NAMED_MOST} more" if len(series) > _NAMED_MOST else ""
    named = ", ".join(series[:_NAMED_MOST]) + more
    return {
        **window,
        "window": window["window_id"],
        "from": _minute(window["from"]) or window.get("every"),
        "to": _minute(window["to"]),
        "kept_quiet": f"{len(series)}: {named}" if series else "0",
    }


def _minute(at: str | None) -> str | None:
    return f"{at[:16].replace('T', ' ')} UTC" if at else None


def end(
    window_id: Annotated[
        str, typer.Argument(metavar="WINDOW", help="The window's id, such as MW-1.")
    ],
    *,
    because: Because,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """End a maintenance window before its time.

    What is still wrong opens an incident within a tick or two.

    For example:
      holdfast maintenance end MW-1 --because "the disks are moved"
    """
    from holdfast.app.desk import Desk
    from holdfast.app.maintenance import end_window

    with Desk(directory) as desk:
        fact = end_window(desk, window_id, because)
    text = f"{fact.window_id}: the maintenance of {fact.scope} is over"
    if as_json:
        output.document({"ok": True, "message": text, "window_id": fact.window_id})
    else:
        output.line(text)
