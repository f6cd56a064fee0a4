"""Finds recovery criteria over a signal that nobody measures: they could never be judged.

An empty catalogue says nothing: a folder may be linted before it has services. A step that asks for
a trend and nothing else proves that it gets better, not that it is well: that is said too.
"""

from collections.abc import Iterator

from holdfast.app.advice import nearest
from holdfast.kernel.catalogue import GOLDEN_SIGNALS, UP, Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.runbooks import Finding, Runbook, Severity
from holdfast.verification import Expectation, parse_expectation

_ANY = "any-service"


def lint_signals(runbook: Runbook, catalogue: Catalogue) -> Iterator[Finding]:
    """Find criteria over a signal that nobody measures. An empty catalogue says nothing."""
    yield from _trends_alone(runbook)
    if not catalogue.services:
        return
    for step in runbook.steps:
        for text in step.expect:
            criterion = _criterion(text)
            problem = _problem(criterion, catalogue) if criterion else None
            if problem:
                severity, words = problem
                line = f"step {step.title!r}: `{text}`: {words}"
                yield Finding(severity=severity, line=step.line, text=line, rule="signals")


def _trends_alone(runbook: Runbook) -> Iterator[Finding]:
    for step in runbook.steps:
        criteria = [_criterion(text) for text in step.expect]
        if criteria and all(each is not None and each.asks_trend for each in criteria):
            line = (
                f"step {step.title!r}: every criterion is a trend, which shows that it gets better "
                "and not that it is well; add one with a level, such as `errors <= 0.05 for 60s`"
            )
            yield Finding(severity=Severity.WARNING, line=step.line, text=line, rule="signals")


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
