"""What the platform's operators would write for Holdfast: services, settings and runbooks.

Rule: plain files of the public formats and nothing else. Holdfast learns of the
platform from these, as it would of anybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from holdfast.sandbox.site import READONLY_ROLE, Site

RUNBOOKS = Path(__file__).with_name("runbooks")
ROLLBACK_RUNBOOK = "rollback-after-bad-deploy"
RESTART_RUNBOOK = "restart-a-down-service"
QUEUE_AGE_S_MAX = 10
PAGE = ("console", "webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a sandbox run chooses. The rest follows from the platform."""

    mode: str = "autonomous"
    listen: str = "127.0.0.1:0"
    sampling_interval_s: float = 1.0
    sustain_s: int = 6
    cooldown_s: int = 5
    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The files that were written."""

    directory: Path
    settings: Path
    catalogue: Path
    runbooks: Path


def write_installation(
    site: Site, directory: Path, settings: Settings | None = None
) -> Installation:
    """Write `holdfast.yaml`, `services.yaml` and the runbooks into an installation directory.

    Runbooks and files of the same name are replaced; other runbooks there (the examples of
    `holdfast init`) are removed, so that a run is graded with the platform's own.
    """
    chosen = settings or Settings()
    runbooks = directory / "runbooks"
    runbooks.mkdir(parents=True, exist_ok=True)
    for old in runbooks.glob("*.md"):
        old.unlink()
    for source in sorted(RUNBOOKS.glob("*.md")):
        (runbooks / source.name).write_text(_filled(source, site, chosen), encoding="utf-8")
    installation = Installation(
        directory=directory,
        settings=directory / "holdfast.yaml",
        catalogue=directory / "services.yaml",
        runbooks=runbooks,
    )
    _write_yaml(installation.settings, holdfast_yaml(site, chosen))
    _write_yaml(installation.catalogue, services_yaml(site))
    return installation


def holdfast_yaml(site: Site, settings: Settings) -> dict[str, Any]:
    """The settings: one sample a second, autonomy for the two runbooks, read-only checks."""
    shape, dsn = site.blueprint, site.dsn(READONLY_ROLE)
    document: dict[str, Any] = {
        "mode": settings.mode,
        "listen": settings.listen,
        "sampling_interval_s": settings.sampling_interval_s,
        "catalogue": "services.yaml",
        "runbooks": "runbooks",
        "lease_s": 8,  # short, so that a killed Holdfast is followed by the next within the demo
        "autonomy": _autonomy(site),
        "checks": {
            "timeout_s": 10,
            "database": {"dsn": dsn, "service": shape.database},
            "cache": {"url": f"unix://{site.cache_socket}", "service": shape.cache},
            "disk": {"paths": [str(site.root)]},
        },
        "deployments": {"dsn": dsn, "table": "deployments"},
        "limits": {"restarts_per_target": 2, "restart_window_s": 600, "rollback_age_max_s": 3600},
        "cooldown_s": settings.cooldown_s,
        "verification": {"sustain_s": settings.sustain_s},
        "escalation": {"ack_timeout_s": 300},
    }
    if settings.webhook is not None:
        document["notify"] = {"webhook": settings.webhook}
    return document


def services_yaml(site: Site) -> dict[str, Any]:
    """The catalogue: four services, who depends on what, how each is read and reached."""
    shape = site.blueprint
    return {
        "services": [_api(site), _worker(site), _database(site), _cache(site)],
        "contacts": {
            shape.on_call: {"name": shape.on_call_name, "role": "on-call", "page": list(PAGE)},
            shape.team: {"name": f"Owners ({shape.team})", "role": "owner", "page": list(PAGE)},
        },
    }


def _api(site: Site) -> dict[str, Any]:
    shape, names = site.blueprint, site.blueprint.metrics
    return {
        "name": shape.api,
        "depends_on": [shape.database, shape.cache],
        **_supervised(site, shape.api),
        "runbooks": [ROLLBACK_RUNBOOK, RESTART_RUNBOOK],
        "metrics": {
            "errors": {"ratio": [names["failures"], names["requests"]]},
            "latency": {"mean": names["duration"]},
            "traffic": {"rate": names["requests"]},
            "saturation": {"gauge": names["waiting"]},
            "memory": {"gauge": names["memory"]},
        },
        "limits": {"memory": {"growth_per_minute_above": 50_000_000, "for_samples": 30}},
    }


def _worker(site: Site) -> dict[str, Any]:
    """The workers depend on the API as well: without it nothing reaches their queue."""
    shape, names = site.blueprint, site.blueprint.metrics
    return {
        "name": shape.worker,
        "depends_on": [shape.api, shape.database, shape.cache],
        **_supervised(site, shape.worker),
        "runbooks": [ROLLBACK_RUNBOOK, RESTART_RUNBOOK],
        "metrics": {
            "errors": {"ratio": [names["job_failures"], names["jobs"]]},
            "latency": {"mean": names["job_duration"]},
            "traffic": {"rate": names["jobs"]},
            "queue_age": {"gauge": names["queue_age"]},
            "memory": {"gauge": names["memory"]},
        },
        "limits": {
            "queue_age": {"above": QUEUE_AGE_S_MAX, "for_samples": 3},
            "memory": {"growth_per_minute_above": 50_000_000, "for_samples": 30},
        },
    }


def _database(site: Site) -> dict[str, Any]:
    shape, names = site.blueprint, site.blueprint.metrics
    return {
        "name": shape.database,
        **_people(site),
        "scrape": {"global": site.store_url(shape.database)},
        "metrics": {
            "traffic": {"rate": names["commits"]},
            "saturation": {"gauge": names["locks_waiting"]},
            "connections": {"gauge": names["connections"]},
        },
    }


def _cache(site: Site) -> dict[str, Any]:
    shape, names = site.blueprint, site.blueprint.metrics
    return {
        "name": shape.cache,
        **_people(site),
        "scrape": {"global": site.store_url(shape.cache)},
        "metrics": {
            "traffic": {"rate": names["cache_commands"]},
            "memory": {"gauge": names["cache_memory"]},
        },
    }


def _supervised(site: Site, service: str) -> dict[str, Any]:
    regions = site.blueprint.regions
    release = {"directory": str(site.releases / service), "history": "deployments"}
    process = f"{service}-{{region}}"
    return {
        **_people(site),
        "regions": list(regions),
        "scrape": {region: site.url(service, region, "/metrics") for region in regions},
        "health": {region: site.url(service, region, "/healthz") for region in regions},
        "control": {
            "supervisord": {"socket": str(site.supervisor_socket), "process": process},
            "release": release,
        },
    }


def _people(site: Site) -> dict[str, Any]:
    return {"owners": [site.blueprint.team], "on_call": site.blueprint.on_call}


def _autonomy(site: Site) -> list[dict[str, str]]:
    because = "the sandbox's configuration grants it, so that the demo recovers by itself"
    return [
        {
            "runbook": runbook,
            "service": service,
            "granted_by": site.blueprint.on_call,
            "because": because,
        }
        for runbook in (ROLLBACK_RUNBOOK, RESTART_RUNBOOK)
        for service in site.blueprint.supervised
    ]


def _filled(source: Path, site: Site, settings: Settings) -> str:
    text = source.read_text(encoding="utf-8")
    values = {
        "on_call": site.blueprint.on_call,
        "sustain_s": str(settings.sustain_s),
        "cooldown_s": str(settings.cooldown_s),
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _write_yaml(file: Path, document: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
    file.write_text("# Written by the sandbox for this platform.\n" + text, encoding="utf-8")
