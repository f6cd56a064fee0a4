"""Says whether a rollback could be done now, and to what.

Asked before anything is planned: a rollback to a release that is half deleted, or
one that was undone already, makes an incident worse. It only looks.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.checks.deployment_history import DeploymentHistory
from holdfast.checks.recent_deployments import in_question
from holdfast.checks.releases import directory_before, look, why_incomplete
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.response.ports import CheckContext, CheckResult, Health


class RollbackReady:
    """Healthy when those services that were deployed lately, or else all, can be rolled back."""

    name = "rollback_ready"

    def __init__(
        self,
        catalogue: Catalogue,
        history: DeploymentHistory | None = None,
        *,
        suspect_s: float = 3600.0,
    ) -> None:
        self._catalogue = catalogue
        self._history = history
        self._suspect_s = suspect_s

    def run(self, context: CheckContext) -> CheckResult:
        services = self._under_release_control(context.services)
        readings = {service.name: self._reading(service) for service in services}
        asked = self._deployed_lately(readings, context) or tuple(readings)
        status, summary = _verdict({name: readings[name] for name in asked})
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary,
            at=context.now,
            data={"services": readings},
        )

    def _under_release_control(self, names: tuple[str, ...]) -> list[Service]:
        known = self._catalogue.services
        services = [known[n] for n in in_question(self._catalogue, names) if n in known]
        return [service for service in services if "release" in service.control]

    def _deployed_lately(
        self, readings: Mapping[str, Any], context: CheckContext
    ) -> tuple[str, ...]:
        if self._history is None or not readings:
            return ()
        began = context.started_at - timedelta(seconds=self._suspect_s)
        lately = {deployment.service for deployment in self._history.since(began)}
        return tuple(name for name in readings if name in lately)

    def _reading(self, service: Service) -> dict[str, Any]:
        release = service.control["release"]
        directory = Path(str(release["directory"]))
        seen = look(directory)
        if seen.current is None:
            return _not_ready(None, None, seen.problem)
        previous, why = self._previous(service, directory, seen.current)
        if previous is None:
            return _not_ready(seen.current, None, why)
        problem = seen.problem or why_incomplete(directory, previous)
        if problem:
            return _not_ready(seen.current, previous, problem)
        return {"current": seen.current, "previous": previous, "ready": True, "why": why}

    def _previous(self, service: Service, directory: Path, current: str) -> tuple[str | None, str]:
        if not service.control["release"].get("history"):
            return directory_before(directory, current)
        if self._history is None:
            return None, (
                f"{service.name} keeps its history in a table, but no `deployments` is configured;"
                " add it to holdfast.yaml"
            )
        return self._history.previous_release(service.name, current)


def _not_ready(current: str | None, previous: str | None, why: str | None) -> dict[str, Any]:
    return {"current": current, "previous": previous, "ready": False, "why": why}


def _verdict(readings: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
    if not readings:
        return Health.UNKNOWN, "no service in question is under release control"
    unready = [f"{name}: {r['why']}" for name, r in readings.items() if not r["ready"]]
    if unready:
        return Health.DEGRADED, "; ".join(unready)
    ready = (
        f"{name} can go from {r['current']} to {r['previous']}" for name, r in readings.items()
    )
    return Health.HEALTHY, "; ".join(ready)
