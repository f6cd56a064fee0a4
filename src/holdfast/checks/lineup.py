"""Builds the checks that this installation's configuration has a use for.

What isn't configured isn't built: a check that can only say "unknown" is noise
on a page. Settings are the plain `checks` and `deployments` sections of holdfast.yaml.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.checks.database_connections import DatabaseConnections
from holdfast.checks.deployment_history import DeploymentHistory
from holdfast.checks.disk_usage import DiskPath, DiskUsage
from holdfast.checks.dns import Dns, DnsName
from holdfast.checks.http_health import HttpHealth
from holdfast.checks.plugins import plugin_checks
from holdfast.checks.process_resources import ProcessResources
from holdfast.checks.queue_health import QueueHealth, QueueLimits, expanded
from holdfast.checks.recent_changes import ChangesSince, RecentChanges
from holdfast.checks.recent_deployments import RecentDeployments
from holdfast.checks.redis_health import RedisHealth
from holdfast.checks.replication_status import ReplicationStatus
from holdfast.checks.rollback_ready import RollbackReady
from holdfast.checks.service_status import ServiceStatus
from holdfast.checks.tls_expiry import TlsExpiry, TlsHost
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import Check

OWN_NAMES = frozenset(
    check.name
    for check in (
        DatabaseConnections,
        DiskUsage,
        Dns,
        HttpHealth,
        ProcessResources,
        QueueHealth,
        RecentChanges,
        RecentDeployments,
        RedisHealth,
        ReplicationStatus,
        RollbackReady,
        ServiceStatus,
        TlsExpiry,
    )
)
_TIMEOUT_S, _INNER_SHARE, _INNER_S_MAX = 10.0, 0.6, 4.0
_HEALTH_S_MAX = 3.0
_QUEUE_LIMITS = ("age_max_s", "depth_max", "age_down_s", "depth_down")


def build_checks(
    catalogue: Catalogue,
    checks: Mapping[str, Any],
    deployments: Mapping[str, Any] | None = None,
    *,
    changes: ChangesSince | None = None,
) -> tuple[Check, ...]:
    """Build every check there is a setting or a catalogue entry for, in a fixed order."""
    history = _history(deployments)
    services = catalogue.services.values()
    supervised = any("supervisord" in s.control for s in services)
    lineup: list[Check | None] = [
        DatabaseConnections(_text(checks, "database", "dsn")) if "database" in checks else None,
        _replication(checks) if "replication" in checks else None,
        RedisHealth(_text(checks, "cache", "url")) if "cache" in checks else None,
        _queue(checks, catalogue) if "queue" in checks else None,
        DiskUsage(_paths(checks)) if "disk" in checks else None,
        RecentDeployments(history, catalogue) if history else None,
        RecentChanges(changes, catalogue, **checks["changes"])
        if changes and "changes" in checks
        else None,
        ServiceStatus(catalogue) if supervised else None,
        ProcessResources(catalogue, **checks["processes"])
        if supervised and "processes" in checks
        else None,
        HttpHealth(catalogue, timeout_s=min(_HEALTH_S_MAX, _inner_s(checks)))
        if any(s.health for s in services)
        else None,
        TlsExpiry([TlsHost(**each) for each in checks["tls"]], timeout_s=_inner_s(checks))
        if checks.get("tls")
        else None,
        Dns([_name(each) for each in checks["dns"]], timeout_s=_inner_s(checks))
        if checks.get("dns")
        else None,
        RollbackReady(catalogue, history)
        if any("release" in s.control for s in services)
        else None,
    ]
    own = tuple(check for check in lineup if check is not None)
    plugins = plugin_checks(catalogue, checks.get("plugins") or {}, OWN_NAMES)
    return (*own, *plugins)


def _inner_s(checks: Mapping[str, Any]) -> float:
    """Give up on one target well before the whole check is given up on: the others are told."""
    return min(_INNER_S_MAX, _INNER_SHARE * float(checks.get("timeout_s", _TIMEOUT_S)))


def _history(deployments: Mapping[str, Any] | None) -> DeploymentHistory | None:
    if not deployments:
        return None
    dsn = _text({"deployments": deployments}, "deployments", "dsn", section="")
    return DeploymentHistory(dsn, table=str(deployments.get("table", "deployments")))


def _replication(checks: Mapping[str, Any]) -> ReplicationStatus:
    given = checks["replication"]
    limits = {key: given[key] for key in ("max_lag_bytes", "max_lag_s") if key in given}
    return ReplicationStatus(
        primary=_text(given, "primary", "dsn", section="checks.replication."),
        standby=_text(given, "standby", "dsn", section="checks.replication."),
        timeout_s=_inner_s(checks),
        **limits,
    )


def _queue(checks: Mapping[str, Any], catalogue: Catalogue) -> QueueHealth:
    given = checks["queue"]
    lists = given.get("lists")
    if not isinstance(lists, list | tuple) or not lists:
        raise _missing("checks.queue.lists", "a list of names")
    more = {key: given[key] for key in ("oldest", "age_field", "ca_file") if key in given}
    return QueueHealth(
        _text(checks, "queue", "url"),
        expanded(lists, given.get("service"), catalogue),
        limits=QueueLimits(**{key: given[key] for key in _QUEUE_LIMITS if key in given}),
        **more,
    )


def _name(given: Mapping[str, Any]) -> DnsName:
    return DnsName(**{**given, "expect": tuple(given.get("expect", ()))})


def _text(settings: Mapping[str, Any], part: str, key: str, *, section: str = "checks.") -> str:
    given = settings.get(part)
    value = given.get(key) if isinstance(given, Mapping) else None
    if not isinstance(value, str) or not value:
        raise _missing(f"{section}{part}.{key}", "one text")
    return value


def _paths(checks: Mapping[str, Any]) -> Sequence[DiskPath]:
    given = checks["disk"]
    paths = given.get("paths") if isinstance(given, Mapping) else None
    if not isinstance(paths, list | tuple) or not paths:
        raise _missing("checks.disk.paths", "a list of paths")
    return [_path(each) for each in paths]


def _path(given: object) -> DiskPath:
    return DiskPath(**given) if isinstance(given, Mapping) else DiskPath(path=str(given))


def _missing(field: str, what: str) -> BadInputError:
    return BadInputError(f"{field} is missing; set it to {what} in holdfast.yaml", field=field)
