"""Lints a folder of runbooks with what this installation knows: its actions, files and services.

`serve` refuses to start over an error: a runbook that could never be performed, or never be
judged, must be found in daylight.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from holdfast.actions import build_actions
from holdfast.app.action_needs import NEEDS
from holdfast.app.alert_rules import AlertRule, read_rules
from holdfast.app.checking import check_runner
from holdfast.app.config import load_catalogue, load_config, load_limits
from holdfast.app.installation import Installation, read_runbook, runbook_files
from holdfast.app.lint_signals import lint_signals
from holdfast.app.lint_targets import Reach, lint_targets
from holdfast.app.web_links import dead_addresses
from holdfast.diagnosis import TYPE_TABLE
from holdfast.diagnosis.classify import UNKNOWN
from holdfast.kernel.catalogue import UP, Catalogue
from holdfast.kernel.clock import SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Action, Repeatability
from holdfast.runbooks import (
    Finding,
    Ground,
    Habits,
    Need,
    Runbook,
    Severity,
    anchors,
    could_fit,
    equal_fits,
    lint,
    lint_names,
    never_fits,
    never_holds,
    parse,
    unanswered,
)
from holdfast.runbooks.errors import RunbookError
from holdfast.verification import parse_expectation

_NO_SERVICE = Catalogue(services={})
_TYPES = dict(TYPE_TABLE)
CHECKS = frozenset(
    (
        *("database_connections", "disk_usage", "dns", "http_health", "process_resources"),
        *("queue_health", "recent_changes", "recent_deployments", "redis_health"),
        *("replication_status", "rollback_ready", "service_status", "tls_expiry"),
    )
)
Findings = list[tuple[Path, Finding]]


def lint_installation(
    directory: Path, *, rules: Sequence[Path] = (), online: bool = False
) -> list[dict[str, Any]]:
    """Check the runbooks of DIR. Raises BadInputError where DIR itself can't be read."""
    config = load_config(directory)
    installation = Installation(
        directory=directory,
        config=config,
        catalogue=load_catalogue(directory / config.catalogue),
        runbooks=(),
        limits=load_limits(config, directory),
    )
    return lint_folder(
        directory / config.runbooks, installation=installation, rules=rules, online=online
    )


def lint_folder(
    folder: Path,
    catalogue: Catalogue = _NO_SERVICE,
    *,
    installation: Installation | None = None,
    rules: Sequence[Path] = (),
    online: bool = False,
) -> list[dict[str, Any]]:
    """Check every runbook of a folder; a file that can't be parsed is one finding.

    With an installation also against what it lets actions touch, and for incidents that no runbook
    fits; `rules` are Prometheus rule files; `online` asks the web whether links lead anywhere.
    """
    if installation is not None:
        catalogue = installation.catalogue
    linting = _Linting(catalogue, installation)
    found: Findings = []
    runbooks: list[tuple[Path, Runbook]] = []
    for path in runbook_files(folder):
        text = read_runbook(path)
        findings = list(linting.by_itself(path, text))
        runbook = _parsed(text, path)
        if runbook is not None:
            runbooks.append((path, runbook))
            findings += linting.here(runbook)
        findings.sort(key=lambda finding: finding.line)
        found += [(path, finding) for finding in findings]
    known = [runbook for _, runbook in runbooks]
    found += [(folder, finding) for finding in lint_names(known)]
    found += linting.together(folder, known)
    found += _alerts_without(read_rules(rules), known, linting.alert_types)
    found += _dead_on_the_web(runbooks) if online else []
    return [{"path": str(path), **finding.as_data()} for path, finding in found]


def refuse_broken_runbooks(installation: Installation) -> None:
    """Raise BadInputError for the first runbook with an error."""
    folder = installation.directory / installation.config.runbooks
    errors = [
        finding
        for finding in lint_folder(folder, installation=installation)
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


class _Linting:
    """What is known, read once for all runbooks of a folder."""

    def __init__(self, catalogue: Catalogue, installation: Installation | None) -> None:
        self._catalogue = catalogue
        self._installation = installation
        config = installation.config if installation else None
        self.alert_types = dict(config.intake.alertmanager.types) if config else {}
        self._reach = Reach(
            catalogue=catalogue, calls=config.actions.model_dump() if config else None
        )

    @cached_property
    def _actions(self) -> dict[str, Action]:
        config = self._installation.config if self._installation else None
        settings = config.actions.model_dump(exclude_none=True) if config else None
        return build_actions(self._catalogue, settings=settings)

    @cached_property
    def _habits(self) -> Habits:
        installation = self._installation
        return Habits(
            for_good={name for name, needs in NEEDS.items() if needs.for_good},
            unrepeatable={
                name
                for name, action in self._actions.items()
                if installation is not None and action.repeatability is Repeatability.NONE
            },
            lease_s=installation.config.lease_s if installation else None,
            cooldown_s=installation.config.cooldown_s if installation else None,
            most=(
                {"restart_service": installation.limits.restarts_per_target} if installation else {}
            ),
        )

    @cached_property
    def _ground(self) -> Ground:
        installation, services = self._installation, self._catalogue.services
        checks, missing = CHECKS, frozenset[str]()
        if installation is not None:
            here = frozenset(check_runner(installation, SystemClock()).names)
            # Without a service nothing is set up yet, and saying so is no help.
            checks, missing = CHECKS | here, CHECKS - here if services else missing
        return Ground(
            incident_types=tuple(
                dict.fromkeys((*_TYPES.values(), UNKNOWN, *self.alert_types.values()))
            ),
            checks=checks,
            missing_checks=missing,
            services={name: service.runbooks for name, service in services.items()},
            regions={region for service in services.values() for region in service.regions},
        )

    def by_itself(self, path: Path, text: bytes) -> Iterator[Finding]:
        yield from lint(
            text,
            {name: action.least_impact for name, action in self._actions.items()},
            path=str(path),
            check_criterion=parse_expectation,
            link_exists=_link_check(path),
            habits=self._habits,
        )

    def here(self, runbook: Runbook) -> Iterator[Finding]:
        yield from lint_signals(runbook, self._catalogue)
        yield from lint_targets(runbook, self._reach)
        if self._installation is not None:
            yield from never_fits(runbook, self._ground)
            yield from never_holds(runbook, self._ground)

    def together(self, folder: Path, runbooks: Sequence[Runbook]) -> Findings:
        found = [(Path(r.path), each) for r, each in equal_fits(runbooks, self._ground)]
        needs = (*_needs(self._catalogue), *_alert_needs(self.alert_types))
        for incident_type, missing in unanswered(runbooks, needs):
            why = ", ".join(dict.fromkeys(need.why for need in missing))
            text = f"no runbook fits an incident of type {incident_type} ({why}); write one"
            found.append((folder, _warning("no runbook", 1, text)))
        return found


def _needs(catalogue: Catalogue) -> Iterator[Need]:
    """List the incidents that the services' signals and limits can open."""
    for service in catalogue.services.values():
        limited = {limit.signal for limit in service.limits}
        signals = (*((UP,) if service.scrape else ()), *service.signals)
        for name in signals:
            if name in _TYPES or name in limited:
                yield Need(
                    incident_type=_TYPES.get(name, UNKNOWN),
                    service=service.name,
                    why=f"{name} of {service.name}",
                )


def _alert_needs(types: dict[str, str]) -> Iterator[Need]:
    for alert, incident_type in types.items():
        yield Need(
            incident_type=incident_type,
            service=None,
            why=f"alert {alert}",
            labels={"alertname": alert},
        )


def _alerts_without(
    rules: Sequence[AlertRule], runbooks: Sequence[Runbook], types: dict[str, str]
) -> Findings:
    """Find alerts that neither a match nor their `runbook_url` leads to a runbook here."""
    names = {name for r in runbooks for name in (r.name, Path(r.path).stem)}
    found: Findings = []
    for rule in rules:
        need = Need(
            incident_type=types.get(rule.name, UNKNOWN),
            service=rule.labels.get("service"),
            why=rule.name,
            labels={**rule.labels, "alertname": rule.name},
        )
        url = (rule.runbook_url or "").partition("#")[0].rstrip("/")
        if any(could_fit(r, need) for r in runbooks) or Path(url).stem in names:
            continue
        also = f" and its runbook_url {url} names none here" if url else ""
        text = (
            f"alert {rule.name}: no runbook fits it{also}; match its labels "
            f"(`labels: {{alertname: {rule.name}}}`), or give it a type under "
            "intake.alertmanager.types"
        )
        found.append((rule.path, _warning("no runbook", rule.line, text)))
    return found


def _parsed(text: bytes, path: Path) -> Runbook | None:
    try:
        return parse(text, str(path))
    except RunbookError:
        return None  # `lint` says so


def _link_check(path: Path) -> Callable[[str], bool]:
    def leads_somewhere(target: str) -> bool:
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            return False
        if not anchor or file.suffix != ".md" or not file.is_file():
            return True
        return anchor in anchors(file.read_text(encoding="utf-8", errors="replace"))

    return leads_somewhere


def _dead_on_the_web(runbooks: Sequence[tuple[Path, Runbook]]) -> Findings:
    links = [
        (path, link)
        for path, runbook in runbooks
        for link in runbook.links
        if link.target.startswith(("http://", "https://"))
    ]
    dead = dead_addresses({link.target for _, link in links})
    return [
        (path, _warning("links", link.line, f"a link leads nowhere: {dead[link.target]}"))
        for path, link in links
        if link.target in dead
    ]


def _warning(rule: str, line: int, text: str) -> Finding:
    return Finding(severity=Severity.WARNING, line=line, text=text, rule=rule)
