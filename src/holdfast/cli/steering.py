"""mode, override: people lower what Holdfast may do, or raise one limit once."""

from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Because, Dir, Incident, Json, Key, add

_WORDS_MOST = 2


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (mode, override):
        add(app, command)


def mode(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[INCIDENT] MODE",
            help="observe, guided, supervised or autonomous; configured takes back what was set.",
        ),
    ],
    *,
    because: Because,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="all, a service, or runbook:NAME.")
    ] = "all",
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Lower the mode of everything or of one part.

    A part is a service, a runbook or an incident.

    It can only lower what the configuration allows. It holds until `configured` takes it back.

    For example:
      holdfast mode observe --scope my-api --because "we migrate its storage by hand"
    """
    from holdfast.app.desk import Desk
    from holdfast.app.steering import CONFIGURED, mode_scope, set_mode
    from holdfast.kernel.errors import BadInputError

    if len(words) > _WORDS_MOST or (len(words) == _WORDS_MOST and scope != "all"):
        raise BadInputError(
            f"{' '.join(words)!r} with scope {scope!r} names too much; write MODE with --scope, or "
            "INCIDENT MODE",
            field="mode",
        )
    with Desk(directory) as desk:
        if len(words) == _WORDS_MOST:
            desk.state(words[0])
            where = f"incident:{words[0]}"
        else:
            where = mode_scope(scope, directory)
        set_mode(desk, words[-1], where, because, key)
    text = "as configured again" if words[-1] == CONFIGURED else f"at most {words[-1]} from now on"
    if as_json:
        output.document({"scope": where, "mode": words[-1], "ok": True, "message": text})
    else:
        output.line(f"{where}: {text}")


def override(
    incident_id: Incident,
    limit: Annotated[
        str,
        typer.Argument(
            metavar="LIMIT",
            help="restarts_per_target, cooldown, instances_added_max, rollback_age_max_s, "
            "region_share_max, pool_share_max, actions_per_incident or actions_per_installation.",
        ),
    ],
    *,
    because: Because,
    target: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="For this target only, such as my-api@eu-west."),
    ] = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Raise one limit once, for one incident.

    The first step that needs it uses it up; unused it ends after an hour. It never passes a hold,
    a freeze, a missing approval or a step in doubt.

    For example:
      holdfast override INC-1 restarts_per_target --because "the second restart hit a full disk"
    """
    from holdfast.app.desk import Desk
    from holdfast.app.steering import grant_override, words
    from holdfast.kernel.clock import format_at

    with Desk(directory) as desk:
        fact = grant_override(desk, incident_id, limit, because, target, key)
        held = desk.state(incident_id)[0].held
    more = f"; it is held: run `holdfast resume {incident_id}` to go on" if held else ""
    if as_json:
        said = {"override_id": fact.override_id, "expires_at": format_at(fact.expires_at)}
        output.document({"ok": True, "message": words(fact) + more, **said})
    else:
        output.line(words(fact) + more)
