"""demo, gameday: the sandbox platform. It is a sandbox, and its names say so."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.options import Json, add


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    add(app, demo)
    add(app, gameday)


def demo(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO", help="Which fault; a bad release if none is named, ? lists them."
        ),
    ] = None,
    *,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep everything there.")] = None,
    vary: Annotated[int, typer.Option(help="Rename and reshape the platform by this seed.")] = 0,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What people do about it, one command line each."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch a real sandbox platform break and recover.

    For example:
      holdfast demo novel
      holdfast demo stale-flag --script examples/checkout.txt
    """
    from holdfast.sandbox.demo import run_demo

    named = [scenario] if scenario else []
    code = run_demo(*named, as_json=as_json, keep=keep, seed=vary, script=script)
    raise typer.Exit(code)


def gameday(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO", help="Which; all if none is named.")
    ] = None,
    *,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each scenario.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="How many at once; by default 3 a processor, at most 6."),
    ] = None,
    vary: Annotated[int, typer.Option(help="Rename and reshape the platform by this seed.")] = 0,
    guided: Annotated[
        bool, typer.Option("--guided", help="The guided ones: people direct each step.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run scenarios and grade each. Exit 0 when all pass.

    For example:
      holdfast gameday novel healthy --runs 3
    """
    from holdfast.sandbox.gameday import run_gameday

    code = run_gameday(
        scenarios or [], runs=runs, jobs=jobs, seed=vary, guided=guided, as_json=as_json
    )
    raise typer.Exit(code)
