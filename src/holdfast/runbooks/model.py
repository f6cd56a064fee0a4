"""The nouns of this room: a runbook, its steps, and what it says it is for.

A runbook can only lower a mode and raise an impact; what it grants itself counts for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUSPECT = "suspect"
MODES = ("observe", "guided", "supervised", "autonomous")
IMPACTS = ("low", "high")
VARIABLES = ("entity", "region", "instance", "incident")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookMatch:
    """When a runbook fits. Every criterion that is given must be met.

    A check is named with the status it must have, or with `suspect`: it must name one.
    """

    incident_types: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.incident_types or self.labels or self.checks)

    def as_data(self) -> dict[str, Any]:
        return {
            "incident_type": list(self.incident_types),
            "labels": dict(self.labels),
            "checks": dict(self.checks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookStep:
    """One executable step. `cooldown_s` is its own floor; `line` is where its block begins."""

    title: str
    action: str
    target: str
    line: int
    params: Mapping[str, Any] = field(default_factory=dict)
    when: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    retries: int = 0
    cooldown_s: float = 0.0
    timeout_s: float = 30.0
    impact: str = "low"
    undo: str | None = None

    def as_data(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "action": self.action,
            "target": self.target,
            "params": dict(self.params),
            "when": list(self.when),
            "expect": list(self.expect),
            "retries": self.retries,
            "cooldown_s": self.cooldown_s,
            "timeout_s": self.timeout_s,
            "impact": self.impact,
            "undo": self.undo,
            "line": self.line,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link or picture in the text, so that a dead one can be found."""

    target: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A runbook as written. `version` is the start of the SHA-256 of its text."""

    name: str
    title: str
    path: str
    version: str
    text: str
    match: RunbookMatch = field(default_factory=RunbookMatch)
    mode: str | None = None
    owner: str | None = None
    services: tuple[str, ...] = ()
    steps: tuple[RunbookStep, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    @property
    def executable(self) -> bool:
        """Say whether it has a step to perform. One that has none is found, shown and linked."""
        return bool(self.steps)

    def as_data(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "path": self.path,
            "version": self.version,
            "match": self.match.as_data(),
            "mode": self.mode,
            "owner": self.owner,
            "services": list(self.services),
            "executable": self.executable,
            "steps": [step.as_data() for step in self.steps],
            "sections": list(self.sections),
        }
