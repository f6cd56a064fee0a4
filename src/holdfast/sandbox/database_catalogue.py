"""What the operators would write for Holdfast about the database and its pooler.

Rule: as in `catalogue`, public formats and nothing else. What reads the database for a check is
led to the primary of now; the two servers by their own addresses are named only where
the pair itself is what is asked about or acted on.
"""

from typing import Any

from holdfast.sandbox.site import (
    FAILOVER_ROLE,
    FENCE,
    GLOBAL,
    READONLY_ROLE,
    Site,
    safe_to_run,
)

FAILOVER_RUNBOOK = "fail-over-a-dead-primary"
HELD_SHARE_MAX = 0.6


def pooler_entry(site: Site) -> dict[str, Any]:
    """The pooler's service. Its health page says as well whether there is a primary behind it."""
    shape, names = site.blueprint, site.blueprint.metrics
    return {
        "name": shape.pooler,
        "depends_on": [shape.database],
        **_people(site),
        "scrape": {GLOBAL: site.url(shape.pooler, GLOBAL, "/metrics")},
        "health": {GLOBAL: site.url(shape.pooler, GLOBAL, "/healthz")},
        "metrics": {
            "traffic": {"rate": names["pool_transactions"]},
            "latency": {"mean": names["pool_wait"]},
            "connections": {"gauge": names["pool_held"]},
        },
        "limits": {
            "connections": {"above": HELD_SHARE_MAX * shape.pool_size, "for_samples": 3},
        },
        "control": {
            "supervisord": {"socket": str(site.supervisor_socket), "process": shape.pooler},
        },
    }


def database_entry(site: Site) -> dict[str, Any]:
    """The database's service, which is a pair: the exporter speaks for its primary of now."""
    shape, names = site.blueprint, site.blueprint.metrics
    fence = {"fence": FENCE} if safe_to_run(site.fence) else {}
    return {
        "name": shape.database,
        **_people(site),
        "scrape": {GLOBAL: site.store_url(shape.database)},
        "runbooks": [FAILOVER_RUNBOOK],
        "metrics": {
            "traffic": {"rate": names["commits"]},
            "saturation": {"gauge": names["locks_waiting"]},
            "connections": {"gauge": names["connections"]},
        },
        "control": {
            "failover": {
                "primary": {"dsn": site.dsn(FAILOVER_ROLE)},
                "standby": {"dsn": site.standby_dsn(FAILOVER_ROLE)},
                **fence,
            },
        },
    }


def fencing(site: Site) -> dict[str, Any]:
    """The section `actions`: what keeps the old primary out of the pooler."""
    if not safe_to_run(site.fence):
        return {}
    return {"commands": {FENCE: {"argv": [str(site.fence)], "timeout_s": 5}}}


def database_checks(site: Site) -> dict[str, Any]:
    """The parts of the `checks` section that read the database."""
    service = site.blueprint.database
    return {
        "database": {"dsn": site.primary_dsn(READONLY_ROLE), "service": service},
        "replication": {
            "primary": {"dsn": site.dsn(READONLY_ROLE)},
            "standby": {"dsn": site.standby_dsn(READONLY_ROLE)},
            "service": service,
        },
    }


def deployments(site: Site) -> dict[str, Any]:
    """Where the history of deployments is read: at the primary of now."""
    return {"dsn": site.primary_dsn(READONLY_ROLE), "table": "deployments"}


def _people(site: Site) -> dict[str, Any]:
    return {"owners": [site.blueprint.team], "on_call": site.blueprint.on_call}
