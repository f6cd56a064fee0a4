"""token create|list|revoke."""

from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Because, Dir, Json, add

Kind = Annotated[str, typer.Option(metavar="KIND", help="person, agent or service; fixed.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option(metavar="SCOPE", help="read, diagnose, propose, direct, approve, audit, admin."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    token = typer.Typer(help="Say who may do what.", no_args_is_help=True)
    add(token, create, "create")
    add(token, list_tokens, "list")
    add(token, revoke, "revoke")
    app.add_typer(token, name="token")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    *,
    kind: Kind = "person",
    scope: Scopes = None,
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How long it is valid.")] = 90,
    on_behalf_of: Annotated[
        str | None, typer.Option(metavar="NAME", help="For an agent: the person it works for.")
    ] = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Make a token. The secret is shown once and kept nowhere.

    An agent's token can hold read, diagnose and propose, nothing else.

    For example:
      holdfast token create dana --scope read --scope direct --scope approve
    """
    from holdfast.app.desk import Desk
    from holdfast.app.tokens import create_token
    from holdfast.policy import Scope

    with Desk(directory) as desk:
        caller = desk.allow(Scope.ADMIN, "`token create`")
        secret, fact = create_token(
            desk.ledger,
            name=name,
            kind=kind,
            scopes=scope or ["read"],
            days=days,
            by=caller.actor,
            now=desk.clock.now(),
            on_behalf_of=on_behalf_of,
        )
    if as_json:
        shown = {"token_id": fact.token_id, "scopes": list(fact.scopes)}
        output.document({"token": secret, **shown, "expires_at": fact.expires_at.isoformat()})
        return
    output.line(
        f"token {fact.token_id} of {name} ({kind}), scopes {', '.join(fact.scopes)}, "
        f"until {fact.expires_at:%Y-%m-%d}"
    )
    output.line("It is shown this once:")
    output.line(f"  export HOLDFAST_TOKEN={secret}")


def list_tokens(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """List the tokens, without their secrets.

    For example:
      holdfast token list
    """
    from holdfast.app.desk import Desk
    from holdfast.policy import Scope

    with Desk(directory) as desk:
        desk.allow(Scope.ADMIN, "`token list`")
        found = [
            {
                "token_id": t.token_id,
                "name": t.name,
                "kind": t.kind,
                "scopes": list(t.scopes),
                "expires_at": t.expires_at.isoformat(),
                "revoked": t.revoked,
                "on_behalf_of": t.on_behalf_of,
            }
            for t in desk.system.state().tokens.values()
        ]
    if as_json:
        output.document({"tokens": found})
    else:
        rows = [{**row, "expires": str(row["expires_at"])[:10]} for row in found]
        columns = ("token_id", "name", "kind", "scopes", "expires", "revoked", "on_behalf_of")
        output.table(rows, columns, empty="no token")


def revoke(
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN_ID", help="From `token list`; it is no secret.")
    ],
    *,
    because: Because,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """End a token for good.

    For example:
      holdfast token revoke 3fa91c02 --because "laptop lost"
    """
    from holdfast.app.desk import Desk
    from holdfast.app.tokens import revoke_token
    from holdfast.policy import Scope

    with Desk(directory) as desk:
        caller = desk.allow(Scope.ADMIN, "`token revoke`")
        revoke_token(desk.ledger, token_id, by=caller.actor, now=desk.clock.now(), because=because)
    if as_json:
        output.document({"token_id": token_id, "ok": True})
    else:
        output.line(f"token {token_id} is revoked")
