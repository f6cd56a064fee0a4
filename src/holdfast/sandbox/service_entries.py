"""What the platform's operators would write in `services.yaml` of each service that they run.

Rule: true to the platform and no more. What a section under `control` allows is what an operator
would allow; the printer stands alone, as it does in the platform.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.sandbox.site import GLOBAL, Site, extra_name

ROLLBACK_RUNBOOK = "rollback-after-bad-deploy"
RESTART_RUNBOOK = "restart-a-down-service"
HUNG_RUNBOOK = "restart-a-hung-process"
LEAKING_RUNBOOK = "restart-a-leaking-process"
POOL_RUNBOOK = "clear-cache-and-restart-the-pool"
TEMP_RUNBOOK = "clear-temp-files"
SCALE_RUNBOOK = "scale-up-a-backlog"
QUEUE_AGE_S_MAX = 10
_GROWTH = {"growth_per_minute_above": 50_000_000, "for_samples": 15}


def api_entry(site: Site) -> dict[str, Any]:
    shape, names = site.blueprint, site.blueprint.metrics
    flags = {"file": str(site.flag_file), "allowed": [shape.flag]}
    balancer = {"socket": str(site.balancer_socket), "backend": shape.api, "server": "{region}"}
    return {
        "name": shape.api,
        "depends_on": [shape.pooler, shape.cache],
        **_regional(site, shape.api, {"flags": flags, "pool": {"haproxy": balancer}}),
        "metrics": {
            "errors": {"ratio": [names["failures"], names["requests"]]},
            "latency": {"mean": names["duration"]},
            "traffic": {"rate": names["requests"]},
            "saturation": {"gauge": names["waiting"]},
            "memory": {"gauge": names["memory"]},
        },
        "limits": {"memory": _GROWTH},
    }


def worker_entry(
    site: Site, *, depth: bool = False, scrape: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The workers depend on the API as well: without it nothing reaches their queue.

    `depth` has the length of the queue read as well; `scrape`: where their pages are read instead.
    """
    shape, names = site.blueprint, site.blueprint.metrics
    queues = [f"queue:{region}" for region in shape.regions]
    extra = extra_name(shape.worker, "{region}", 0).removesuffix("0") + "{n}"
    place = {"socket": str(site.supervisor_socket), "process": extra}
    scale = {"supervisord": place, "extra": shape.extra_workers}
    queue = {"url": cache_url(site), "lists": queues}
    return {
        "name": shape.worker,
        "depends_on": [shape.api, shape.pooler, shape.cache],
        **_regional(site, shape.worker, {"scale": scale, "queue": queue}),
        **({"scrape": dict(scrape)} if scrape else {}),
        "metrics": {
            "errors": {"ratio": [names["job_failures"], names["jobs"]]},
            "latency": {"mean": names["job_duration"]},
            "traffic": {"rate": names["jobs"]},
            "queue_age": {"gauge": names["queue_age"]},
            **({"queue_depth": {"gauge": names["queue_depth"]}} if depth else {}),
            "memory": {"gauge": names["memory"]},
        },
        "limits": {
            "queue_age": {"above": QUEUE_AGE_S_MAX, "for_samples": 3},
            "memory": _GROWTH,
        },
    }


def printer_entry(site: Site) -> dict[str, Any]:
    """The printer needs nobody and nobody needs it."""
    shape, names = site.blueprint, site.blueprint.metrics
    supervisord = {"socket": str(site.supervisor_socket), "process": shape.printer}
    return {
        "name": shape.printer,
        **people(site),
        "scrape": {GLOBAL: site.url(shape.printer, GLOBAL, "/metrics")},
        "health": {GLOBAL: site.url(shape.printer, GLOBAL, "/healthz")},
        "control": {"supervisord": supervisord, "temp": {"paths": [str(site.temp.resolve())]}},
        "metrics": {
            "errors": {"ratio": [names["receipt_failures"], names["receipts"]]},
            "latency": {"mean": names["receipt_duration"]},
            "traffic": {"rate": names["receipts"]},
            "disk": {"gauge": names["temp_used"]},
            "memory": {"gauge": names["memory"]},
        },
        "limits": {"disk": {"above": 0.9, "for_samples": 3}, "memory": _GROWTH},
    }


def cache_entry(site: Site) -> dict[str, Any]:
    shape, names = site.blueprint, site.blueprint.metrics
    prefixes = [shape.price_prefix, shape.basket_epoch]
    return {
        "name": shape.cache,
        **people(site),
        "scrape": {GLOBAL: site.store_url(shape.cache)},
        "control": {"cache": {"url": cache_url(site), "prefixes": prefixes}},
        "metrics": {
            "traffic": {"rate": names["cache_commands"]},
            "memory": {"gauge": names["cache_memory"]},
        },
    }


def people(site: Site) -> dict[str, Any]:
    return {"owners": [site.blueprint.team], "on_call": site.blueprint.on_call}


def cache_url(site: Site) -> str:
    return f"unix://{site.cache_socket}"


def _regional(site: Site, service: str, control: dict[str, Any]) -> dict[str, Any]:
    regions = site.blueprint.regions
    process = f"{service}-{{region}}"
    return {
        **people(site),
        "regions": list(regions),
        "scrape": {region: site.url(service, region, "/metrics") for region in regions},
        "health": {region: site.url(service, region, "/healthz") for region in regions},
        "control": {
            "supervisord": {"socket": str(site.supervisor_socket), "process": process},
            "release": {"directory": str(site.releases / service), "history": "deployments"},
            **control,
        },
    }
