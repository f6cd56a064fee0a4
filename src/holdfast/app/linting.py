"""Lints a folder of runbooks with what this installation knows: its actions, files and services.

`serve` refuses to start over an error: a runbook that could never be performed, or never be
judged, must be found in daylight.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holdfast.actions import build_actions
from holdfast.app.advice import nearest
from holdfast.app.installation import Installation, read_runbook, runbook_files
from holdfast.kernel.catalogue import GOLDEN_SIGNALS, UP, Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.runbooks import Finding, Runbook, Severity, lint, lint_names, parse
from holdfast.runbooks.errors import RunbookError
from holdfast.verification import Expectation, parse_expectation

_NO_SERVICE = Catalogue(services={})
_ANY = "any-service"


def lint_folder(folder: Path, catalogue: Catalogue = _NO_SERVICE) -> list[dict[str, Any]]:
    """Check every runbook of a folder; a file that can't be parsed is one finding."""
    known = {name: action.least_impact for name, action in build_actions(_NO_SERVICE).items()}
    found: list[dict[str, Any]] = []
    runbooks: list[Runbook] = []
    for path in runbook_files(folder):
        text = read_runbook(path)
        findings = list(
            lint(
                text,
                known,
                path=str(path),
                check_criterion=parse_expectation,
                link_exists=_link_check(path),
            )
        )
        runbook = _parsed(text, path)
        if runbook is not None:
            runbooks.append(runbook)
            findings += _signals(runbook, catalogue)
        findings.sort(key=lambda finding: finding.line)
        found += [{"path": str(path), **finding.as_data()} for finding in findings]
    found += [{"path": str(folder), **finding.as_data()} for finding in lint_names(runbooks)]
    return found


def refuse_broken_runbooks(installation: Installation) -> None:
    """Raise BadInputError for the first runbook with an error."""
    folder = installation.directory / installation.config.runbooks
    errors = [
        finding
        for finding in lint_folder(folder, installation.catalogue)
        if finding["severity"] == Severity.ERROR.value
    ]
    if errors:
        first, more = errors[0], len(errors) - 1
        also = f" ({more} more)" if more else ""
        raise BadInputError(
            f"{first['path']}:{first['line']}: {first['text']}{also}; nothing was started: mend "
            "it, then see `holdfast runbook lint`",
            field="runbooks",
        )


def _parsed(text: bytes, path: Path) -> Runbook | None:
    try:
        return parse(text, str(path))
    except RunbookError:
        return None  # `lint` says so


def _link_check(path: Path) -> Callable[[str], bool]:
    return lambda target: (path.parent / target).exists()


def _signals(runbook: Runbook, catalogue: Catalogue) -> Iterator[Finding]:
    """Find criteria over a signal that nobody measures. An empty catalogue says nothing."""
    if not catalogue.services:
        return
    for step in runbook.steps:
        for text in step.expect:
            criterion = _criterion(text)
            problem = _problem(criterion, catalogue) if criterion else None
            if problem:
                severity, words = problem
                line = f"step {step.title!r}: `{text}`: {words}"
                yield Finding(severity=severity, line=step.line, text=line)


def _criterion(text: str) -> Expectation | None:
    try:
        return parse_expectation(text.replace("${entity}", _ANY))
    except BadInputError:
        return None  # `lint` says so


def _problem(criterion: Expectation, catalogue: Catalogue) -> tuple[Severity, str] | None:
    named = criterion.service
    if named is not None and named != _ANY and "${" not in named:
        if named not in catalogue.services:
            return Severity.ERROR, f"no service {named!r}; {nearest(named, catalogue.services)}"
        measured = {UP, *catalogue.services[named].signals}
    else:
        measured = {UP, *(s for each in catalogue.services.values() for s in each.signals)}
    if criterion.signal in measured:
        return None
    if criterion.signal in GOLDEN_SIGNALS and named in {None, _ANY}:
        words = f"no service has the signal {criterion.signal!r} yet, so this can't be judged; add"
        return Severity.WARNING, f"{words} it under `metrics` in services.yaml"
    who = named if named in catalogue.services else "any service in services.yaml"
    words = f"{criterion.signal!r} is no signal of {who}; {nearest(criterion.signal, measured)}"
    return Severity.ERROR, words
