"""Builds the checks that this installation's configuration has a use for.

What isn't configured isn't built: a check that can only say "unknown" is noise
on a page. Settings are the plain `checks` and `deployments` sections of holdfast.yaml.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.checks.database_connections import DatabaseConnections
from holdfast.checks.deployment_history import DeploymentHistory
from holdfast.checks.disk_usage import DiskUsage
from holdfast.checks.http_health import HttpHealth
from holdfast.checks.recent_deployments import RecentDeployments
from holdfast.checks.redis_health import RedisHealth
from holdfast.checks.rollback_ready import RollbackReady
from holdfast.checks.service_status import ServiceStatus
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Check


def build_checks(
    catalogue: Catalogue, checks: Mapping[str, Any], deployments: Mapping[str, Any] | None = None
) -> tuple[Check, ...]:
    """Build every check there is a setting or a catalogue entry for, in a fixed order."""
    history = _history(deployments)
    services = catalogue.services.values()
    lineup: list[Check | None] = [
        DatabaseConnections(_text(checks, "database", "dsn")) if "database" in checks else None,
        RedisHealth(_text(checks, "cache", "url")) if "cache" in checks else None,
        DiskUsage(_paths(checks)) if "disk" in checks else None,
        RecentDeployments(history, catalogue) if history else None,
        ServiceStatus(catalogue) if any("supervisord" in s.control for s in services) else None,
        HttpHealth(catalogue) if any(s.health for s in services) else None,
        RollbackReady(catalogue, history)
        if any("release" in s.control for s in services)
        else None,
    ]
    return tuple(check for check in lineup if check is not None)


def _history(deployments: Mapping[str, Any] | None) -> DeploymentHistory | None:
    if not deployments:
        return None
    dsn = _text({"deployments": deployments}, "deployments", "dsn", section="")
    return DeploymentHistory(dsn, table=str(deployments.get("table", "deployments")))


def _text(settings: Mapping[str, Any], part: str, key: str, *, section: str = "checks.") -> str:
    given = settings[part]
    value = given.get(key) if isinstance(given, Mapping) else None
    if not isinstance(value, str) or not value:
        raise _missing(f"{section}{part}.{key}", "one text")
    return value


def _paths(checks: Mapping[str, Any]) -> Sequence[str]:
    given = checks["disk"]
    paths = given.get("paths") if isinstance(given, Mapping) else None
    if not isinstance(paths, list | tuple) or not paths:
        raise _missing("checks.disk.paths", "a list of paths")
    return [str(path) for path in paths]


def _missing(field: str, what: str) -> BadInputError:
    return BadInputError(f"{field} is missing; set it to {what} in holdfast.yaml", field=field)
