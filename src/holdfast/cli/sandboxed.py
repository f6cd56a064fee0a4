"""demo, gameday: the sandbox platform. It is a sandbox, and its names say so."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.options import Json


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(demo)
    app.command()(gameday)


def demo(
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO]")] = "bad-deploy",
    *,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this directory.")] = None,
    vary: Annotated[int, typer.Option(help="Rename and reshape the platform by this seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Break a real sandbox platform on this machine and watch the recovery.

    Example: holdfast demo bad-deploy
    """
    from holdfast.sandbox.demo import run_demo

    raise typer.Exit(run_demo(scenario, as_json=as_json, keep=keep, seed=vary))


def gameday(
    scenarios: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO...]")] = None,
    *,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each scenario.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=16, help="How many at once.")] = 2,
    vary: Annotated[int, typer.Option(help="Rename and reshape the platform by this seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Run every scenario, or those named, and grade each run. Exit 0 when all pass.

    Example: holdfast gameday bad-deploy service-down --runs 3
    """
    from holdfast.sandbox.gameday import run_gameday

    raise typer.Exit(run_gameday(scenarios or [], runs=runs, jobs=jobs, seed=vary, as_json=as_json))
