"""Options that many commands share, with one wording; and how a command is added."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Dir = Annotated[
    Path,
    typer.Option(
        "--dir",
        envvar="HOLDFAST_DIR",
        metavar="DIR",
        help="The installation, as `holdfast init` made it.",
    ),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Only this key counts, and it must have signed."),
]
Heads = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Signed heads that were exported off the host."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document (JSON Lines for streams).")]
Because = Annotated[
    str,
    typer.Option("--because", metavar="TEXT", help="Why, in your own words. It is recorded."),
]
Incident = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="The incident's id, such as INC-1.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Safe to send twice: the same key has one effect and one answer.",
    ),
]
HERE = Path()
# What keeps lines as they stand in a help text: an example must survive copying.
_AS_IT_STANDS = "\b\n"


def add(app: typer.Typer, command: Callable[..., Any], name: str | None = None) -> None:
    """Add one command; its docstring is its help, and the example's lines stay as they are."""
    text = inspect.cleandoc(command.__doc__ or "")
    text = text.replace("\n\nFor example:", f"\n\n{_AS_IT_STANDS}For example:")
    app.command(name, help=text)(command)
