"""init, serve, worker, detect, check, kv: the installation itself."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json, add

if TYPE_CHECKING:
    from holdfast.app.new import Created


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (init, serve, worker, detect):
        add(app, command)
    check = typer.Typer(help="Look at the live state, read-only.", no_args_is_help=True)
    add(check, check_list, "list")
    add(check, check_run, "run")
    app.add_typer(check, name="check")
    kv = typer.Typer(help="Read an incident's five keys.", no_args_is_help=True)
    add(kv, kv_get, "get")
    app.add_typer(kv, name="kv")


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where; it is made if it does not exist.")
    ] = HERE,
    *,
    from_prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Begin the catalogue with the jobs that it scrapes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an installation, with your first token.

    It writes settings, a catalogue and example runbooks, each commented. A fresh
    installation is in mode observe and performs nothing.
    Nothing that exists is overwritten.

    For example:
      holdfast init ./holdfast
    """
    from holdfast.app.new import init as create

    made = create(directory, from_prometheus=from_prometheus)
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
    _tell_made(made, begun=from_prometheus is not None)


def _tell_made(made: "Created", *, begun: bool) -> None:
    """Say what was written, the token, and what comes next; `begun`: a catalogue from jobs."""
    width = max((len(name) for name in (*dict(made.files), *made.kept)), default=0)
    output.line(f"In {made.directory.resolve()}:")
    output.fitted(f"  wrote  {name.ljust(width)}  {why}" for name, why in made.files)
    output.fitted(f"  kept   {name.ljust(width)}  it was there before" for name in made.kept)
    output.line()
    if made.token:
        output.line("Your token. It is shown this once; whoever has it can direct and approve:")
        output.line(f"  export HOLDFAST_TOKEN={made.token}")
    else:
        output.line("There are tokens already, so none was made; see `holdfast token --help`.")
    output.line()
    services = made.directory / "services.yaml"
    todo = "look over the" if begun and "services.yaml" in dict(made.files) else "describe your"
    output.line(f"Next: {todo} services in {services}, then")
    output.line(f"  holdfast doctor --dir {made.directory}")
    output.line(f"  holdfast serve --dir {made.directory}")


def serve(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """Watch, respond and answer HTTP, in one process.

    Sources, detection, engine, and HTTP with /healthz and /metrics. Ctrl-C or SIGTERM
    finishes the step in hand and ends. With --json, stdout is JSON Lines: listening, tick,
    record, target, notice, trouble.

    For example:
      holdfast serve --dir ./holdfast
    """
    from holdfast.app.installation import load_installation
    from holdfast.app.serve import serve as run

    raise typer.Exit(run(load_installation(directory), as_json=as_json))


def worker(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """Work on incidents beside `serve`: the engine alone.

    Run as many as you like on one database. A worker takes what nobody holds and what a dead
    one left, and opens nothing itself. Ctrl-C or SIGTERM finishes the step in hand and ends.
    With --json, stdout is JSON Lines: working, record, target, notice, trouble.

    For example:
      holdfast worker --dir ./holdfast
    """
    from holdfast.app.installation import load_installation
    from holdfast.app.worker import work

    raise typer.Exit(work(load_installation(directory), as_json=as_json))


def detect(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="CSV with columns timestamp, value.")
    ],
    *,
    detector: Annotated[
        str, typer.Option(metavar="NAME", help="Which detector judges.")
    ] = "zscore",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="One CSV per input, into this folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge time series in CSV files, one row out per row in.

    Columns: file, timestamp, value, expected, low, high, score (in sigmas), confidence,
    anomaly, severity, reason.

    For example:
      holdfast detect cpu.csv --json
    """
    from holdfast.kernel.errors import BadInputError
    from holdfast.sources import detect_file, json_lines, write_csv, write_rows

    names = [path.name for path in files]
    if out is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInputError(
            f"two inputs are called {twice} and --out would keep one; judge them one at a time",
            field="out",
        )
    # Every file is judged before anything is written, so that a bad one leaves nothing half-done.
    results = [detect_file(path, detector=detector) for path in files]
    for number, result in enumerate(results):
        if out is not None:
            written = write_csv(result, out)
            output.note(f"{result.series.path}: {result.anomalies} anomalies; wrote {written}")
        elif as_json:
            output.lines(json_lines(result))
        else:
            write_rows(result, sys.stdout, header=number == 0)


def check_list(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """List the checks that the settings have the means for.

    For example:
      holdfast check list --dir ./holdfast
    """
    from holdfast.app.checking import check_runner
    from holdfast.app.installation import load_installation
    from holdfast.kernel.clock import SystemClock

    names = check_runner(load_installation(directory), SystemClock()).names
    if as_json:
        output.document({"checks": list(names)})
    else:
        output.lines(names or ["no check is configured; see `checks` in holdfast.yaml"])


def check_run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Which ones; all of them if none is named."),
    ] = None,
    *,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Run checks now, in parallel. Exit 1 when one is not healthy.

    For example:
      holdfast check run database_connections http_health
    """
    from holdfast.app.checking import check_runner
    from holdfast.app.installation import load_installation
    from holdfast.kernel.clock import SystemClock
    from holdfast.response.ports import CheckContext, Health

    clock = SystemClock()
    installation = load_installation(directory)
    now = clock.now()
    context = CheckContext(services=tuple(installation.catalogue.services), started_at=now, now=now)
    results = check_runner(installation, clock).run(context, names or None)
    if as_json:
        output.document({name: result.as_data() for name, result in results.items()})
    else:
        rows = [
            {
                "check": name,
                "status": result.status.value,
                "took": f"{result.took_s:.2f} s",
                "summary": result.summary,
            }
            for name, result in results.items()
        ]
        empty = "no check is configured; see `checks` in holdfast.yaml"
        output.table(rows, ("check", "status", "took", "summary"), empty=empty)
    if any(result.status is not Health.HEALTHY for result in results.values()):
        raise typer.Exit(1)


def kv_get(
    key: Annotated[str, typer.Argument(metavar="KEY", help="incident:ID:NAME")],
    *,
    directory: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Read one of the five keys of an incident.

    NAME is status, steps, checkpoint, timeline or owner. The value is JSON, with or
    without --json.

    For example:
      holdfast kv get incident:INC-1:checkpoint
    """
    from holdfast.app.desk import Desk
    from holdfast.app.keys import read_key

    with Desk(directory) as desk:
        value = read_key(desk, key)
    if as_json:
        output.document(value)
    else:
        output.line(json.dumps(value, ensure_ascii=False))
