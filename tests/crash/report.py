"""The report of a run of the crash matrix, for people and for programs."""

import json
import platform
from dataclasses import asdict
from pathlib import Path

from tests.crash.matrix import PROMISES
from tests.crash.progress import Row, State


def write(state: State, folder: Path) -> Path:
    """Write report.md and report.json into `folder`; return the one for people."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"machine": _machine(), **asdict(state)}
    (folder / "report.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    text = folder / "report.md"
    text.write_text(markdown(state), encoding="utf-8")
    return text


def markdown(state: State) -> str:
    """Write the table, the invariants, and what failed with the command to see it again."""
    total = sum(sum(row.violations.values()) for row in state.rows)
    over = all(row.over for row in state.rows)
    told = (
        f"Seed {state.seed}, scale {state.scale:g}, {_machine()}. "
        f"{'Complete' if over else 'NOT COMPLETE'}; violations: {total}."
    )
    lines = [
        "# The crash matrix",
        "",
        told,
        "",
        "| fault | store | done / asked | violations | core-seconds | what happened |",
        "|---|---|---|---|---|---|",
        *(_row(row) for row in state.rows),
        "",
        "Invariants:",
        "",
        *(f"- {name.value}: {promise}" for name, promise in PROMISES.items()),
    ]
    failed = [(row, failure) for row in state.rows for failure in row.failures]
    if failed:
        lines += ["", "## What failed", ""]
        lines += [f"- {row.name}: {f['said']} — `{f['replay']}`" for row, f in failed]
    return "\n".join([*lines, ""])


def _row(row: Row) -> str:
    unit = " s" if row.unit == "seconds" else ""
    violations = ", ".join(f"{name}: {n}" for name, n in sorted(row.violations.items())) or "none"
    counts = ", ".join(f"{what} {n:,}" for what, n in sorted(row.counts.items()))
    return (
        f"| {row.fault} | {row.store} | {row.done:,} / {row.asked:,}{unit} | {violations} "
        f"| {row.took_s:,.0f} | {counts} |"
    )


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
