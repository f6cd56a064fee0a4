"""What the platform's operators would write for Holdfast: services, settings and runbooks.

Rule: plain files of the public formats and nothing else. Holdfast learns of the
platform from these, as it would of anybody's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.database_catalogue import (
    database_checks,
    database_entry,
    deployments,
    fencing,
    pooler_entry,
)
from holdfast.sandbox.people import DATABASE_TEAM
from holdfast.sandbox.service_entries import (
    HUNG_RUNBOOK,
    LEAKING_RUNBOOK,
    POOL_RUNBOOK,
    QUEUE_AGE_S_MAX,
    RESTART_RUNBOOK,
    ROLLBACK_RUNBOOK,
    SCALE_RUNBOOK,
    TEMP_RUNBOOK,
    api_entry,
    cache_entry,
    cache_url,
    printer_entry,
    worker_entry,
)
from holdfast.sandbox.site import Site

RUNBOOKS = Path(__file__).with_name("runbooks")
PAGE = ("console", "webhook")
SILENT_S = 20  # longer than people of a script need from one line to the next
FLOOD_DEPTH = 5_000  # no number of workers that can be added helps with more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a sandbox run chooses. The rest follows from the platform.

    `directed`: people decide in this run, so their patience is short and the length of the queues
    is read. `worker_pages` tells by region where the workers' metrics are read instead.
    """

    mode: str = "autonomous"
    listen: str = "127.0.0.1:0"
    sampling_interval_s: float = 1.0
    sustain_s: int = 6
    cooldown_s: int = 5
    webhook: str | None = None
    directed: bool = False
    worker_pages: Mapping[str, str] = field(default_factory=dict)


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
    _write_yaml(installation.catalogue, services_yaml(site, chosen))
    return installation


def holdfast_yaml(site: Site, settings: Settings) -> dict[str, Any]:
    """The settings: one sample a second, autonomy for the safe runbooks, read-only checks."""
    shape = site.blueprint
    document: dict[str, Any] = {
        "mode": settings.mode,
        "listen": settings.listen,
        "sampling_interval_s": settings.sampling_interval_s,
        "catalogue": "services.yaml",
        "runbooks": "runbooks",
        "lease_s": 8,  # short, so that a killed Holdfast is followed by the next within the demo
        "autonomy": _autonomy(site),
        "checks": {**_checks(site), **database_checks(site)},
        "changes": {
            "files": [{"path": str(site.flag_file), "service": shape.api, "kind": "flag"}],
            "every_s": 1,
        },
        "deployments": deployments(site),
        "actions": fencing(site),
        "boundaries": boundaries(site),
        "limits": {"restarts_per_target": 2, "restart_window_s": 600, "rollback_age_max_s": 3600},
        "cooldown_s": settings.cooldown_s,
        "verification": {"sustain_s": settings.sustain_s},
        "escalation": escalation(settings),
    }
    if settings.webhook is not None:
        document["notify"] = {"webhook": settings.webhook}
    return document


def services_yaml(site: Site, settings: Settings | None = None) -> dict[str, Any]:
    """The catalogue: six services, who depends on what, how each is read and reached."""
    shape, chosen = site.blueprint, settings or Settings()
    return {
        "services": [
            api_entry(site),
            worker_entry(site, depth=chosen.directed, scrape=chosen.worker_pages),
            pooler_entry(site),
            printer_entry(site),
            database_entry(site),
            cache_entry(site),
        ],
        "contacts": {
            shape.on_call: {"name": shape.on_call_name, "role": "on-call", "page": list(PAGE)},
            shape.second: {"name": shape.second_name, "role": "on-call", "page": list(PAGE)},
            shape.team: {"name": f"Owners ({shape.team})", "role": "owner", "page": list(PAGE)},
            DATABASE_TEAM: {
                "name": "Database platform",
                "role": "authority",
                "page": list(PAGE),
                "members": [shape.dba],
            },
        },
    }


def boundaries(site: Site) -> list[dict[str, str]]:
    """Say what needs the word of somebody else: a failover that of the database's team."""
    return [
        {
            "action": "failover_db",
            "target": site.blueprint.database,
            "authority": DATABASE_TEAM,
            "why": "only they know whether the standby is fit",
        }
    ]


def escalation(settings: Settings) -> dict[str, Any]:
    """How long people may be silent: in a directed run of the sandbox some seconds."""
    if not settings.directed:
        return {"ack_timeout_s": 300}
    return {"ack_timeout_s": 60, "commander_silent_s": SILENT_S, "handoff_timeout_s": 60}


def _checks(site: Site) -> dict[str, Any]:
    """All checks but those of the database."""
    shape, limit = site.blueprint, site.blueprint.temp_limit_bytes
    temp = {"path": str(site.temp.resolve()), "limit_bytes": limit, "service": shape.printer}
    return {
        "timeout_s": 3,  # everything is on this machine; a page that hangs is given up at 1.8 s
        "cache": {"url": cache_url(site), "service": shape.cache},
        "disk": {"paths": [temp]},
        "queue": {
            "url": cache_url(site),
            "lists": ["queue:{region}"],
            "service": shape.worker,
            "age_max_s": QUEUE_AGE_S_MAX,
            "depth_max": 300,
            "depth_down": FLOOD_DEPTH,
        },
        "processes": {},
        "changes": {"window_s": 900},
    }


def _autonomy(site: Site) -> list[dict[str, str]]:
    """Grant what is safe. A failover and a parked queue wait for a person, whatever is written."""
    because = "the sandbox's configuration grants it, so that the demo recovers by itself"
    return [
        {
            "runbook": runbook,
            "service": service,
            "granted_by": site.blueprint.on_call,
            "because": because,
        }
        for runbook, services in _granted(site.blueprint).items()
        for service in services
    ]


def _granted(shape: Blueprint) -> Mapping[str, Sequence[str]]:
    return {
        ROLLBACK_RUNBOOK: shape.regional,
        RESTART_RUNBOOK: shape.supervised,
        HUNG_RUNBOOK: shape.supervised,
        LEAKING_RUNBOOK: (*shape.regional, shape.printer),
        POOL_RUNBOOK: (shape.cache, shape.pooler),
        TEMP_RUNBOOK: (shape.printer,),
        SCALE_RUNBOOK: (shape.worker,),
    }


def _filled(source: Path, site: Site, settings: Settings) -> str:
    text = source.read_text(encoding="utf-8")
    shape = site.blueprint
    values = {
        "on_call": shape.on_call,
        "api": shape.api,
        "worker": shape.worker,
        "database": shape.database,
        "cache": shape.cache,
        "price_prefix": shape.price_prefix,
        "basket_epoch": shape.basket_epoch,
        "flag": shape.flag,
        "extra_workers": str(shape.extra_workers),
        "sustain_s": str(settings.sustain_s),
        "cooldown_s": str(settings.cooldown_s),
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


class _Plain(yaml.SafeDumper):
    """Writes what is said twice twice: Holdfast reads no anchors."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _write_yaml(file: Path, document: Mapping[str, Any]) -> None:
    text = yaml.dump(dict(document), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    file.write_text("# Written by the sandbox for this platform.\n" + text, encoding="utf-8")
