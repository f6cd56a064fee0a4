"""The faults, each done for real and each undone for real.

Rule: a fault changes the platform as life does (a deploy, a kill, a session that
holds a lock) and leaves the traces life leaves. It never reaches into a service
to switch a failure on.
"""

import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from holdfast.kernel import BadInputError, HoldfastError
from holdfast.kernel.clock import SystemClock, format_at
from holdfast.sandbox import releases
from holdfast.sandbox.services.start import NEVER, down_file
from holdfast.sandbox.site import Site, process_name
from holdfast.sandbox.supervisor import Supervisor

BAD_DEPLOY = "bad-deploy"
SERVICE_DOWN = "service-down"
NOVEL = "novel"
HEALTHY = "healthy"
CONNECTION_LEAK = "connection-leak"
DISK_FULL = "disk-full"
MEMORY_LEAK = "memory-leak"
QUEUE_BACKLOG = "queue-backlog"
QUEUE_FLOOD = "queue-flood"
PRIMARY_DOWN = "primary-down"
STALE_FLAG = "stale-flag"
REGIONAL = "regional"
FLAPPING = "flapping"
BAD_RUNBOOK = "bad-runbook"
FAULTS = (
    BAD_DEPLOY,
    SERVICE_DOWN,
    NOVEL,
    HEALTHY,
    CONNECTION_LEAK,
    DISK_FULL,
    MEMORY_LEAK,
    QUEUE_BACKLOG,
    QUEUE_FLOOD,
    PRIMARY_DOWN,
    STALE_FLAG,
    REGIONAL,
    FLAPPING,
    BAD_RUNBOOK,
)
SURGE = 3.0
SURGE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault that is in the platform now. `entity` is the service that an operator should find."""

    fault: str
    injected_at: datetime
    entity: str | None = None
    region: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


def bad_deploy(site: Site) -> Injected:
    """Deploy the API's next release in all regions; it fails the baskets without a coupon."""
    service = site.blueprint.api
    before = releases.current_version(site, service)
    at = SystemClock().now()
    version = releases.deploy_bad(site, at)
    detail = {"version": version, "previous_version": before}
    return Injected(fault=BAD_DEPLOY, injected_at=at, entity=service, detail=detail)


def undo_deploy(site: Site, injected: Injected) -> None:
    releases.switch(site, site.blueprint.api, injected.detail["previous_version"])


def service_down(
    site: Site,
    supervisor: Supervisor,
    *,
    down_for_s: float | None,
    service: str | None = None,
    region: str | None = None,
) -> Injected:
    """Kill one process and keep it from starting for a while; `down_for_s=None` is for ever.

    Which one, the blueprint's seed decides unless it is named.
    """
    drawn = _victim(site)
    service, region = service or drawn[0], region or drawn[1]
    name = process_name(service, region)
    now = SystemClock().now()
    until = NEVER if down_for_s is None else format_at(now + timedelta(seconds=down_for_s))
    down_file(site, name).write_text(until, encoding="utf-8")
    pid = int(supervisor.state(name)["pid"])
    if pid <= 0:
        raise HoldfastError(f"{name} does not run, so it can't be killed; heal the platform first")
    os.kill(pid, signal.SIGKILL)
    detail = {"process": name, "down_until": until}
    return Injected(
        fault=SERVICE_DOWN, injected_at=now, entity=service, region=region, detail=detail
    )


def bring_back(site: Site, supervisor: Supervisor, injected: Injected) -> None:
    """Let the process start again, and start it."""
    name = injected.detail["process"]
    down_file(site, name).unlink(missing_ok=True)
    if supervisor.state(name)["statename"] != "RUNNING" and not supervisor.start(name):
        raise HoldfastError(f"{name} did not come up; see its log in {site.logs}")


class LockHolder:
    """A batch session that locks the orders and does not let go: no runbook knows this failure."""

    def __init__(self, site: Site) -> None:
        dsn = site.primary_dsn() + " application_name=month-end-batch"
        self._connection = psycopg.connect(dsn)
        self._connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        self.locked_at = SystemClock().now()

    @property
    def session(self) -> int:
        return self._connection.info.backend_pid

    def release(self) -> None:
        """End the session, as an operator's pg_terminate_backend would."""
        self._connection.close()


def novel(site: Site, holder: LockHolder) -> Injected:
    """Describe the lock that `holder` took."""
    return Injected(
        fault=NOVEL,
        injected_at=holder.locked_at,
        entity=site.blueprint.database,
        detail={"session": str(holder.session), "application": "month-end-batch"},
    )


def unknown_fault(name: str) -> BadInputError:
    return BadInputError(f"the sandbox has no fault {name!r}; choose one of {', '.join(FAULTS)}")


def wait_until_gone(supervisor: Supervisor, name: str, timeout_s: float = 5.0) -> None:
    """Return when supervisord has noticed that a process ended."""
    deadline = time.monotonic() + timeout_s
    while supervisor.state(name)["statename"] == "RUNNING":
        if time.monotonic() > deadline:
            raise HoldfastError(f"supervisord still thinks {name} runs after {timeout_s:.0f} s")
        time.sleep(0.02)


def _victim(site: Site) -> tuple[str, str]:
    rng = random.Random(f"victim/{site.blueprint.seed}")
    shape = site.blueprint
    return rng.choice([(s, r) for s in shape.regional for r in shape.regions])
