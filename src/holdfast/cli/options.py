"""Options that many commands share, with one wording."""

from pathlib import Path
from typing import Annotated

import typer

Dir = Annotated[
    Path,
    typer.Option(
        "--dir",
        envvar="HOLDFAST_DIR",
        help="The installation, as `holdfast init` made it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document (JSON Lines for streams).")]
Because = Annotated[str, typer.Option("--because", help="Why, in your own words. It is recorded.")]
Incident = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="The incident's id, such as INC-1.")
]
HERE = Path()
