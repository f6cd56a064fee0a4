"""What the ledger costs: steps per second against the disk and against DBOS, recovery, growth.

Rates are ratios to raw append + fdatasync measured right before and after in the same round, with
quartiles over the rounds. Each bar stands next to its figure; a miss is shown as a miss.
Run with --json for one document, --quick for a short run, --with-dbos to measure DBOS too.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.ledger_parts import growth, recovery  # noqa: E402 - found only with the path above
from bench.ledger_parts.paired import Child, Raw, Variant, quartiles, run  # noqa: E402
from bench.ledger_parts.postgres import Server, server  # noqa: E402
from bench.ledger_parts.stores import sqlite_url  # noqa: E402
from bench.ledger_parts.told import table  # noqa: E402

DBOS_HOME = ROOT / ".bench" / "dbos-venv"
DBOS_WANTED = ("dbos>=3,<4", "psycopg[binary]")
DBOS_BAR = 6.0
WORKERS = 4
SIZES = (1_000, 10_000)
PARTS = ("rates", "recovery", "growth")


def child(*argv: str) -> Child:
    return Child(["-m", "bench.ledger_parts.child", *argv])


def sqlite_variants(directory: Path) -> list[Variant]:
    """Rows, steps one after another, at once, and steps with all that the engine writes."""
    steps = child(sqlite_url(directory, "steps"), "steps")
    whole = child(sqlite_url(directory, "whole"), "whole")
    return [
        Variant(name="sqlite rows", children=[child(sqlite_url(directory, "rows"), "rows")]),
        Variant(name="sqlite steps, 1", children=[steps], bar=0.5),
        Variant(name="sqlite steps, 16", children=[steps], bar=1.7, order={"at_once": 16}),
        Variant(name="sqlite steps, 64", children=[steps], bar=4.0, order={"at_once": 64}),
        Variant(name="sqlite whole steps, 1", children=[whole]),
        Variant(name="sqlite whole steps, 16", children=[whole], order={"at_once": 16}),
    ]


def postgres_variants(running: Server) -> list[Variant]:
    """The same, and 16 incidents in the hands of four workers."""
    one = child(running.fresh(), "steps")
    shared = running.fresh()
    # One after another: the first makes the tables.
    several = [child(shared, "steps") for _ in range(WORKERS)]
    each = {"at_once": 16 // WORKERS}
    return [
        Variant(name="postgres rows", children=[child(running.fresh(), "rows")]),
        Variant(name="postgres steps, 1", children=[one], bar=0.33),
        Variant(name="postgres steps, 16", children=[one], bar=1.0, order={"at_once": 16}),
        Variant(name=f"postgres steps, 16 in {WORKERS} workers", children=several, order=each),
    ]


def dbos_python(*, make: bool) -> str | None:
    """Give the interpreter of DBOS's environment; None when there is none. `make` makes it."""
    python = DBOS_HOME / "bin" / "python"
    if make and not python.exists():
        venv.create(DBOS_HOME, with_pip=True)
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *DBOS_WANTED],
            check=False,
            stdout=sys.stderr,
        )
        if done.returncode != 0:
            shutil.rmtree(DBOS_HOME)
            raise SystemExit(f"{DBOS_WANTED[0]} can't be installed; run without --with-dbos")
    return str(python) if python.exists() else None


def dbos_variants(python: str, directory: Path, running: Server) -> list[Variant]:
    """One workflow, 16 in threads, and 16 in one event loop, on both stores."""
    program = str(ROOT / "bench" / "ledger_parts" / "dbos_child.py")
    variants = []
    for store, url in (("sqlite", sqlite_url(directory, "dbos")), ("postgres", running.fresh())):
        one = [Child([program, url], python=python)]
        for name, order in (
            ("1", {}),
            ("16", {"at_once": 16}),
            ("16 async", {"at_once": 16, "in_loop": True}),
        ):
            variants.append(Variant(name=f"{store} dbos, {name}", children=one, order=order))
    for variant in variants:
        variant.slice_s *= 2
    return variants


def against_dbos(variants: list[Variant]) -> dict[str, Any]:
    """Compare on each store, round by round: one with one, our 16 with its better 16."""
    named = {variant.name: variant for variant in variants}
    told = {}
    for store in ("sqlite", "postgres"):
        theirs = [named[name] for name in named if name.startswith(f"{store} dbos, 16")]
        pairs = [("1", named.get(f"{store} dbos, 1"))]
        pairs.append(("16", max(theirs, key=lambda v: median(v.ratios), default=None)))
        for at_once, their in pairs:
            if their is not None:
                ours = named[f"{store} steps, {at_once}"]
                times = [own / its for own, its in zip(ours.ratios, their.ratios, strict=True)]
                met = median(times) >= DBOS_BAR
                found = {"times": quartiles(times), "bar": DBOS_BAR, "met": met}
                told[f"{store}, {at_once}"] = found
    return told


def rates(directory: Path, running: Server, python: str | None, rounds: int) -> dict[str, Any]:
    variants = [*sqlite_variants(directory), *postgres_variants(running)]
    if python is not None:
        variants += dbos_variants(python, directory, running)
    raws = run(variants, Raw(directory), rounds)
    for one in {id(one): one for variant in variants for one in variant.children}.values():
        one.close()
    found = {variant.name: variant.found() for variant in variants}
    return {"raw_per_s": quartiles(raws), "variants": found, "times_dbos": against_dbos(variants)}


def document(arguments: argparse.Namespace) -> dict[str, Any]:
    python = dbos_python(make=arguments.with_dbos)
    found: dict[str, Any] = {
        "bench": "ledger",
        "rounds": arguments.rounds,
        "dbos": python is not None,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory("", "hfb", arguments.directory))
        directory = Path(home)
        running = stack.enter_context(server(directory))
        if "rates" in arguments.only:
            found["rates"] = rates(directory, running, python, arguments.rounds)
        if "recovery" in arguments.only:
            sizes = SIZES[:1] if arguments.quick else SIZES
            found["recovery"] = recovery.measure(directory, running, sizes)
        if "growth" in arguments.only:
            most = 10_000 if arguments.quick else 100_000
            found["growth"] = growth.measure(directory, running, most)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=9, help="rounds, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="three rounds, small sizes")
    parser.add_argument("--with-dbos", action="store_true", help="install DBOS in .bench/ first")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--directory", default="/var/tmp", help="on the disk to be measured")  # noqa: S108
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 3
    found = document(arguments)
    print(json.dumps(found) if arguments.json else table(found))


if __name__ == "__main__":
    main()
