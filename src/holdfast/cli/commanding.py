"""charter, handoff, accept, refuse, recall: who decides, and who is next."""

from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.incidents import ask
from holdfast.cli.options import HERE, Because, Dir, Incident, Json, Key, add

Protected = Annotated[
    list[str] | None,
    typer.Option(metavar="ACTION:TARGET=AUTHORITY[:WHY]", help="What needs somebody else's word."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    charter = typer.Typer(
        help="Say who commands an incident, and what may be done.", no_args_is_help=True
    )
    add(charter, set_charter, "set")
    add(charter, show, "show")
    app.add_typer(charter, name="charter")
    for command in (handoff, accept, refuse, recall):
        add(app, command)


def set_charter(
    incident_id: Incident,
    *,
    commander: Annotated[
        str, typer.Option(metavar="WHO", help="Who directs: a person, or a contact's members.")
    ],
    objective: Annotated[str, typer.Option(metavar="TEXT", help="What is to be reached.")],
    allow: Annotated[
        list[str],
        typer.Option(metavar="ACTION:TARGET[,TARGET]", help="What may be done, to what."),
    ],
    because: Because,
    protect: Protected = None,
    expires: Annotated[
        str, typer.Option(metavar="2h|TIME", help="When it ends; 24h at most.")
    ] = "2h",
    four_eyes: Annotated[
        bool, typer.Option("--four-eyes", help="Whoever directs a step can't approve it.")
    ] = False,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Put a person in command, within stated bounds.

    From then on each step is a directive; the runbook does not go on by itself.

    For example:
      holdfast charter set INC-1 --commander dana --objective "checkout works" \
        --allow restart_service:my-api --because "the cause is unclear"
    """
    from holdfast.app.commanding import charter_data
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        data = charter_data(
            desk,
            commander=commander,
            objective=objective,
            allow=allow,
            protect=protect or (),
            expires=expires,
            four_eyes=four_eyes,
            because=because,
        )
    ask(directory, incident_id, "charter", data, key=key, as_json=as_json)


def show(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show who commands, what is allowed and what is protected.

    For example:
      holdfast charter show INC-1
    """
    from holdfast.app.commanding import charter_lines, charter_view
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        view = charter_view(desk, incident_id)
    if as_json:
        output.document(view)
    else:
        output.fitted(charter_lines(view))


def handoff(
    incident_id: Incident,
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="WHO", help="A person, a contact, or holdfast.")
    ],
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Hand an incident over; nobody acts until it is accepted.

    To `holdfast`, it goes back to the system, once everything that was touched was looked at again.

    For example:
      holdfast handoff INC-1 --to database-team --because "the failover is theirs"
    """
    from holdfast.app.commanding import check_successor
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        check_successor(desk, to)
    ask(directory, incident_id, "handoff", {"to": to, "because": because}, key=key, as_json=as_json)


def accept(
    incident_id: Incident,
    *,
    because: Annotated[
        str | None, typer.Option("--because", metavar="TEXT", help="A word for the timeline.")
    ] = None,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take over an incident that was handed to you.

    For example:
      holdfast accept INC-1
    """
    ask(directory, incident_id, "accept", {"because": because}, key=key, as_json=as_json)


def refuse(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Refuse a handoff; it stays with whoever had it.

    For example:
      holdfast refuse INC-1 --because "the replica is fine, this is the network team's"
    """
    ask(directory, incident_id, "refuse", {"because": because}, key=key, as_json=as_json)


def recall(
    incident_id: Incident,
    *,
    because: Because,
    key: Key = None,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take a handoff back before it is accepted.

    For example:
      holdfast recall INC-1 --because "found the cause, it is ours after all"
    """
    ask(directory, incident_id, "recall", {"because": because}, key=key, as_json=as_json)
