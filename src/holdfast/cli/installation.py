"""init, serve, detect, check, kv: the installation itself."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(init)
    app.command()(serve)
    app.command()(detect)
    check = typer.Typer(help="Read-only checks.", no_args_is_help=True)
    check.command("list")(check_list)
    check.command("run")(check_run)
    app.add_typer(check, name="check")
    kv = typer.Typer(help="The five keys of an incident.", no_args_is_help=True)
    kv.command("get")(kv_get)
    app.add_typer(kv, name="kv")


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = HERE, *, as_json: Json = False
) -> None:
    """Write a new installation: settings, service catalogue, example runbooks, first token.

    A fresh installation is in mode observe and performs nothing.
    Nothing that exists is overwritten.

    Example: holdfast init ./holdfast
    """
    from holdfast.app.new import init as create

    made = create(directory)
    if as_json:
        output.document(
            {
                "dir": str(made.directory.resolve()),
                "files": [name for name, _ in made.files],
                "kept": list(made.kept),
                "token": made.token,
            }
        )
        return
    for name, why in made.files:
        output.line(f"wrote {made.directory / name}: {why}")
    for name in made.kept:
        output.line(f"kept  {made.directory / name}: it was there before")
    if made.token:
        output.line()
        output.line("Your token. It is shown this once; whoever has it can direct and approve:")
        output.line(f"  export HOLDFAST_TOKEN={made.token}")
    output.line()
    output.line(f"Next: describe your services in {made.directory / 'services.yaml'}, then")
    output.line(f"  holdfast serve --dir {made.directory}")


def serve(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """Run everything in one process: sources, detection, engine, HTTP (/healthz, /metrics).

    With --json, stdout is JSON Lines: listening, tick, record, notice, trouble.

    Example: holdfast serve --dir ./holdfast
    """
    from holdfast.app.installation import load_installation
    from holdfast.app.serve import serve as run

    raise typer.Exit(run(load_installation(directory), as_json=as_json))


def detect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV: timestamp,value")],
    *,
    detector: Annotated[str, typer.Option(help="Which detector judges.")] = "zscore",
    out: Annotated[
        Path | None, typer.Option(help="One CSV per input, into this directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge time series in CSV files: one row out per row in.

    Columns: file, timestamp, value, expected, low, high, score (in sigmas), confidence,
    anomaly, severity, reason.

    Example: holdfast detect cpu.csv --json
    """
    from holdfast.sources import detect_file, json_lines, write_csv, write_rows

    for number, path in enumerate(files):
        result = detect_file(path, detector=detector)
        if out is not None:
            written = write_csv(result, out)
            output.note(f"{path}: {result.anomalies} anomalies; wrote {written}")
        elif as_json:
            output.lines(json_lines(result))
        else:
            write_rows(result, sys.stdout, header=number == 0)


def check_list(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """List the checks that the configuration has the means for.

    Example: holdfast check list --dir ./holdfast
    """
    from holdfast.app.build import check_runner
    from holdfast.app.installation import load_installation
    from holdfast.kernel.clock import SystemClock

    names = check_runner(load_installation(directory), SystemClock()).names
    if as_json:
        output.document({"checks": list(names)})
    else:
        output.lines(names)


def check_run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    *,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Run checks now, in parallel, read-only. Exit 1 when one is not healthy.

    Example: holdfast check run database_connections http_health
    """
    from holdfast.app.build import check_runner
    from holdfast.app.installation import load_installation
    from holdfast.kernel.clock import SystemClock
    from holdfast.response.ports import CheckContext, Health

    clock = SystemClock()
    installation = load_installation(directory)
    now = clock.now()
    context = CheckContext(services=tuple(installation.catalogue.services), started_at=now, now=now)
    results = check_runner(installation, clock).run(context, names)
    if as_json:
        output.document({name: result.as_data() for name, result in results.items()})
    else:
        for name, result in results.items():
            output.line(f"{name}: {result.status.value}: {result.summary} ({result.took_s:.2f} s)")
    if any(result.status is not Health.HEALTHY for result in results.values()):
        raise typer.Exit(1)


def kv_get(
    key: Annotated[str, typer.Argument(metavar="KEY")],
    *,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Read one of the five keys: incident:ID:status, :steps, :checkpoint, :timeline, :owner.

    The value is JSON, with or without --json.

    Example: holdfast kv get incident:INC-1:checkpoint
    """
    from holdfast.app.desk import Desk
    from holdfast.app.keys import read_key

    with Desk(directory) as desk:
        value = read_key(desk, key)
    if as_json:
        output.document(value)
    else:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
