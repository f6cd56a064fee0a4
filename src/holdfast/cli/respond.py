"""did, approve, deny, settle, skip, hold, resume, note, freeze, thaw: people act."""

import sys
from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.directing import Action, Params, Step, Target, params_of
from holdfast.cli.incidents import ask
from holdfast.cli.options import HERE, Because, Dir, Incident, Json, Key, add

_TYPED_BACK = 6
Scope = Annotated[
    str, typer.Option("--scope", metavar="SCOPE", help="all, service:NAME or region:NAME.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (did, approve, deny, settle, skip, hold, resume, note, freeze, thaw):
        add(app, command)


def did(
    incident_id: Incident,
    action: Action,
    target: Target,
    *,
    because: Because,
    param: Params = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="When, if not just now: 2026-11-21T02:10:00Z."),
    ] = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Report what you did by hand; the target is observed.

    It counts like any other action there: nobody restarts by machine what you restarted just now.

    For example:
      holdfast did INC-1 restart_service my-api@eu-west --because "faster by hand"
    """
    data: dict[str, Any] = {"action": action, "target": target, "because": because}
    data |= {"params": params_of(param)} if param else {}
    data |= {"at": at} if at else {}
    ask(directory, incident_id, "did", data, key=key, as_json=as_json)


def approve(
    incident_id: Incident,
    step: Step,
    *,
    hash_: Annotated[
        str, typer.Option("--hash", metavar="HASH", help="The step's hash, from `incident show`.")
    ],
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Approve one step, once, by its hash.

    On a terminal you type the last six characters of what you gave back.

    For example:
      holdfast approve INC-1 S1 --hash 3fa9... --because "read the diff, safe to roll back"
    """
    from holdfast.kernel.errors import BadInputError

    if sys.stdin.isatty() and not as_json:
        typed = typer.prompt(f"Type the last {_TYPED_BACK} characters of {hash_}", err=True)
        if typed.strip() != hash_[-_TYPED_BACK:]:
            raise BadInputError(f"{typed!r} is not the end of {hash_!r}; nothing was approved")
    data = {"step_id": step, "hash": hash_, "because": because}
    ask(directory, incident_id, "approve", data, key=key, as_json=as_json)


def deny(
    incident_id: Incident,
    step: Step,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Deny one step. The incident is held.

    For example:
      holdfast deny INC-1 S1 --because "the release holds a migration"
    """
    ask(
        directory,
        incident_id,
        "deny",
        {"step_id": step, "because": because},
        key=key,
        as_json=as_json,
    )


def skip(
    incident_id: Incident,
    step: Step,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Skip a step that waits; the plan goes on with the next.

    For example:
      holdfast skip INC-1 S1 --because "the cache was cleared an hour ago"
    """
    data = {"step_id": step, "because": because}
    ask(directory, incident_id, "skip", data, key=key, as_json=as_json)


def settle(
    incident_id: Incident,
    step: Step,
    what: Annotated[str, typer.Argument(metavar="happened|not-happened", help="What you found.")],
    *,
    evidence: Annotated[
        str, typer.Option("--evidence", metavar="TEXT", help="What you saw at the target.")
    ],
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """End a step in doubt: say whether it happened.

    For example:
      holdfast settle INC-1 S1 happened --evidence "systemctl shows a start at 02:14"
    """
    from holdfast.kernel.errors import BadInputError

    if what not in {"happened", "not-happened"}:
        raise BadInputError(f"{what!r} is neither happened nor not-happened", field="what")
    data = {"step_id": step, "happened": what == "happened", "evidence": evidence}
    ask(directory, incident_id, "settle", data, key=key, as_json=as_json)


def hold(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Stop every step of an incident until it is resumed.

    For example:
      holdfast hold INC-1 --because "the database team is on it"
    """
    ask(directory, incident_id, "hold", {"because": because}, key=key, as_json=as_json)


def resume(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Let a held incident go on. The live state is read anew first.

    The target of a step in doubt is looked at again; what can't be told then holds once more.

    For example:
      holdfast resume INC-1 --because "the lock is gone"
    """
    ask(directory, incident_id, "resume", {"because": because}, key=key, as_json=as_json)


def note(
    incident_id: Incident,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to write down.")],
    *,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write a note into the timeline.

    For example:
      holdfast note INC-1 "vendor confirms an outage"
    """
    ask(directory, incident_id, "note", {"text": text}, key=key, as_json=as_json)


def freeze(
    *,
    scope: Scope = "all",
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Stop every mutating action at once, for everyone.

    For example:
      holdfast freeze --because "storage maintenance until 04:00"
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        desk.freeze(scope, because, key)
    _frozen(scope, "frozen: nothing is acted on until `holdfast thaw`", as_json=as_json)


def thaw(
    *,
    scope: Scope = "all",
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """End a freeze.

    For example:
      holdfast thaw --because "maintenance is over"
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        desk.thaw(scope, because, key)
    _frozen(scope, "thawed", as_json=as_json)


def _frozen(scope: str, text: str, *, as_json: bool) -> None:
    if as_json:
        output.document({"scope": scope, "ok": True, "message": text})
    else:
        output.line(f"{scope}: {text}")
