"""Finds what would go wrong with a runbook at three in the morning, while it is still daytime.

An error means that a step could never be performed, or not be judged; a warning means that a
person will miss something.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from holdfast.kernel import BadInputError
from holdfast.runbooks.durations import format_duration
from holdfast.runbooks.errors import RunbookError, nearest
from holdfast.runbooks.model import VARIABLES, Runbook, RunbookStep
from holdfast.runbooks.parse import parse
from holdfast.runbooks.preconditions import compile_error
from holdfast.runbooks.render import render_text, texts_of, variables_in

SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
_SAMPLE = {"entity": "shop", "region": "east", "instance": "shop@east", "incident": "i-1"}


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to correct, with its line."""

    severity: Severity
    line: int
    text: str
    rule: str = ""

    def as_data(self) -> dict[str, Any]:
        return {
            "severity": self.severity.value,
            "line": self.line,
            "rule": self.rule,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What an installation and its actions do, whatever a runbook says; empty: not known.

    `for_good` can't be undone; `unrepeatable` is never done again while its outcome is not known.
    """

    for_good: Collection[str] = frozenset()
    unrepeatable: Collection[str] = frozenset()
    lease_s: float | None = None
    cooldown_s: float | None = None
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the shell knows: actions with their least impact, criteria, files."""

    actions: Mapping[str, str]
    check_criterion: Callable[[str], object]
    link_exists: Callable[[str], bool] | None
    habits: Habits


def lint(
    source: Runbook | str | bytes,
    known_actions: Collection[str] | Mapping[str, str],
    *,
    check_criterion: Callable[[str], object],
    path: str = "runbook",
    link_exists: Callable[[str], bool] | None = None,
    habits: Habits | None = None,
) -> tuple[Finding, ...]:
    """List what to correct, by line. A text that can't be read is one finding.

    `known_actions` may map an action to its least impact; `check_criterion` raises BadInputError
    for a criterion that can't be read; `link_exists` answers for a link inside the folder, with
    its anchor.
    """
    try:
        runbook = source if isinstance(source, Runbook) else parse(source, path)
    except RunbookError as error:
        return (replace(_error(error.line, error.text), rule="text"),)
    actions = (
        known_actions if isinstance(known_actions, Mapping) else dict.fromkeys(known_actions, "low")
    )
    known = _Known(
        actions=actions,
        check_criterion=check_criterion,
        link_exists=link_exists,
        habits=habits or Habits(),
    )
    found = [
        replace(finding, rule=name)
        for name, rule in RULES.items()
        for finding in rule(runbook, known)
    ]
    return tuple(sorted(found, key=lambda finding: (finding.line, finding.severity)))


def lint_names(runbooks: Iterable[Runbook]) -> tuple[Finding, ...]:
    """Find runbooks that share a name: an approval or a grant would mean both."""
    first: dict[str, Runbook] = {}
    found = []
    for runbook in runbooks:
        other = first.setdefault(runbook.name, runbook)
        if other is not runbook:
            text = f"{runbook.path}: the name {runbook.name!r} is taken by {other.path}; rename one"
            found.append(replace(_error(2, text), rule="name"))
    return tuple(found)


def _front_matter(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    del known
    if not runbook.owner:
        yield _warning(2, "no `owner`; name who keeps it right")
    if runbook.match.is_empty:
        yield _warning(2, "no `match`; it is shown but never chosen by itself")
    missing = [name for name in SECTIONS if name not in runbook.sections]
    if missing:
        yield _warning(1, f"no section {', '.join(f'`## {name}`' for name in missing)}; add it")


def _action(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    for step in runbook.steps:
        if step.action not in known.actions:
            names = nearest(step.action, known.actions) if known.actions else "none is known"
            yield _error(step.line, f"step {step.title!r}: unknown action {step.action!r}; {names}")


def _criteria(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    for step in runbook.steps:
        if not step.expect:
            fact = (
                "no `expect`, so it can never be told whether it helped and it is never performed"
            )
            yield _error(step.line, f"step {step.title!r}: {fact}; add a criterion")
        for text in step.expect:
            yield from _criterion(step, text, known)


def _criterion(step: RunbookStep, text: str, known: _Known) -> Iterator[Finding]:
    try:
        known.check_criterion(render_text(text, _SAMPLE, what="`expect`"))
    except BadInputError as error:
        if not _unknown_variables([text]):
            yield _error(step.line, f"step {step.title!r}: {error.message}")
        return
    if "service=" not in text.replace(" ", ""):
        fact = f"`{text}` names no service"
        advice = 'write {service="${entity}"}'
        yield _warning(step.line, f"step {step.title!r}: {fact}; {advice}")


def _preconditions(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    del known
    for step in runbook.steps:
        if not step.when:
            fact = "no `when`, so a match alone performs it"
            yield _warning(step.line, f"step {step.title!r}: {fact}; add a precondition")
        for text in step.when:
            if _unknown_variables([text]):
                continue  # `_variables` says so
            problem = compile_error(render_text(text, _SAMPLE, what="`when`"))
            if problem:
                yield _error(step.line, f"step {step.title!r}: `when: {text}`: {problem}")


def _variables(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    del known
    for step in runbook.steps:
        for name in _unknown_variables(texts_of(step)):
            words = f"unknown variable ${{{name}}}; {nearest(name, VARIABLES)}"
            yield _error(step.line, f"step {step.title!r}: {words}")


def _unknown_variables(texts: Iterable[str]) -> tuple[str, ...]:
    names = dict.fromkeys(name for text in texts for name in variables_in(text))
    return tuple(name for name in names if name not in VARIABLES)


def _impact(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    for step in runbook.steps:
        least = known.actions.get(step.action, "low")
        if least == "high" and step.impact == "low":
            fact = f"`impact: low`, but {step.action} always counts as high"
            yield _warning(step.line, f"step {step.title!r}: {fact}; write `impact: high`")
        if "high" in {least, step.impact} and runbook.mode == "autonomous":
            fact = "high impact in `mode: autonomous` waits for an approval all the same"
            yield _warning(step.line, f"step {step.title!r}: {fact}; write `mode: supervised`")


def _undo(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    for step in runbook.steps:
        if step.undo:
            continue
        fact, advice = "no `undo`", "say how to take it back, or why that can't be done"
        if step.action in known.habits.for_good:
            fact = f"no `undo`, and {step.action} can't be taken back by Holdfast"
            advice = "say so, and what a person can do instead"
        yield _warning(step.line, f"step {step.title!r}: {fact}; {advice}")


def _repeats(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    for step in runbook.steps:
        if step.retries and step.action in known.habits.unrepeatable:
            fact = f"`retries: {step.retries}`, but {step.action} is repeatable `none`"
            what = "an attempt whose outcome is not known is never repeated, it waits for a person"
            yield _warning(step.line, f"step {step.title!r}: {fact}: {what}; write `retries: 0`")
        most = known.habits.most.get(step.action)
        if most is not None and step.retries >= most:
            fact = f"`retries: {step.retries}`, but the limits allow {most} of {step.action}"
            advice = f"write `retries: {most - 1}` or less"
            yield _warning(step.line, f"step {step.title!r}: {fact} on a target; {advice}")


def _times(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    lease_s, least_s = known.habits.lease_s, known.habits.cooldown_s
    for step in runbook.steps:
        if lease_s is not None and step.timeout_s > lease_s:
            fact = f"`timeout` {format_duration(step.timeout_s)} is longer than `lease_s`"
            what = f"({format_duration(lease_s)}): if its worker dies, nobody takes over before"
            yield _warning(step.line, f"step {step.title!r}: {fact} {what}; shorten it")
        if least_s is not None and 0 < step.cooldown_s < least_s:
            fact = f"`cooldown` {format_duration(step.cooldown_s)} is shorter than `cooldown_s`"
            what = f"of the installation, so {format_duration(least_s)} counts"
            yield _warning(step.line, f"step {step.title!r}: {fact} {what}; write that")


def _links(runbook: Runbook, known: _Known) -> Iterator[Finding]:
    if known.link_exists is None:
        return
    for link in runbook.links:
        path, mark, anchor = link.target.partition("#")
        target = path.partition("?")[0] + mark + anchor
        elsewhere = not target or "://" in target or target.startswith(("mailto:", "//"))
        if not elsewhere and not known.link_exists(target):
            yield _warning(link.line, f"the link {link.target!r} leads nowhere; correct it")


RULES: Mapping[str, Callable[[Runbook, _Known], Iterator[Finding]]] = {
    "front matter": _front_matter,
    "action": _action,
    "variables": _variables,
    "preconditions": _preconditions,
    "criteria": _criteria,
    "impact": _impact,
    "undo": _undo,
    "repeats": _repeats,
    "times": _times,
    "links": _links,
}


def _error(line: int, text: str) -> Finding:
    return Finding(severity=Severity.ERROR, line=line, text=text)


def _warning(line: int, text: str) -> Finding:
    return Finding(severity=Severity.WARNING, line=line, text=text)
