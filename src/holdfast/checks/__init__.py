"""Read-only diagnostics, each with a time limit of its own.

Rule: a check never changes what it looks at, and a check that can't look says
so instead of guessing. They run side by side, so the slowest never delays the
others; one that hangs or raises is itself a reading.
"""

from holdfast.checks.database_connections import DatabaseConnections
from holdfast.checks.deployment_history import Deployment, DeploymentHistory
from holdfast.checks.disk_usage import DiskUsage
from holdfast.checks.http_health import HttpHealth
from holdfast.checks.lineup import build_checks
from holdfast.checks.parallel import Hanging, ParallelRuns, Raised
from holdfast.checks.recent_changes import ChangesSince
from holdfast.checks.recent_deployments import RecentDeployments
from holdfast.checks.redis_health import RedisHealth
from holdfast.checks.rollback_ready import RollbackReady
from holdfast.checks.runner import CheckRunner, run_checks
from holdfast.checks.service_status import ServiceStatus

__all__ = [
    "ChangesSince",
    "CheckRunner",
    "DatabaseConnections",
    "Deployment",
    "DeploymentHistory",
    "DiskUsage",
    "Hanging",
    "HttpHealth",
    "ParallelRuns",
    "Raised",
    "RecentDeployments",
    "RedisHealth",
    "RollbackReady",
    "ServiceStatus",
    "build_checks",
    "run_checks",
]
