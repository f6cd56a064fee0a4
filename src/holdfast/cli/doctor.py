"""doctor: the installation, looked over."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Json, add

if TYPE_CHECKING:
    from holdfast.app.doctor_findings import Report


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    add(app, doctor)


def doctor(*, directory: Dir = HERE, as_json: Json = False) -> None:
    """Say what is configured, reachable, missing and unsafe. It changes nothing.

    Every connection, permission and clock is looked at, for a quarter of a minute at most.
    Exit 1 when something is broken (error) or unsafe.

    For example:
      holdfast doctor --dir ./holdfast
    """
    from holdfast.app.doctor import examine
    from holdfast.app.installation import load_installation

    installation = load_installation(directory)
    if sys.stderr.isatty():
        output.note("looking at every connection, permission and clock ...")
    report = examine(installation)
    if as_json:
        output.document({"dir": str(directory.resolve()), **report.as_data()})
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: "Report") -> None:
    output.fitted(_lines(report))


def _lines(report: "Report") -> Iterator[str]:
    everything = [each for found in report.findings.values() for each in found]
    level_width = max((len(each.level) for each in everything), default=0)
    width = max((len(each.what) for each in everything), default=0)
    for area, found in report.findings.items():
        if found:
            yield area
        for each in found:
            level = "" if each.level == "ok" else each.level
            yield f"  {level.ljust(level_width)}  {each.what.ljust(width)}  {each.value}"
            if each.next_step:
                yield f"  {' ' * level_width}  {' ' * width}  -> {each.next_step}"
    yield ""
    counts = [_counted(count, level) for level, count in report.counts.items() if count]
    yield f"{'fit for work' if report.ok else 'not fit'}: {', '.join(counts)}"


def _counted(count: int, level: str) -> str:
    return (
        f"{count} {level}s" if count > 1 and level in {"warning", "error"} else f"{count} {level}"
    )
