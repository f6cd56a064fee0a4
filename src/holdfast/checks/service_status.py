"""Says whether the processes of the services in question run.

The answer is supervisord's, the same that a restart would talk to. Where it can't
be asked, the state of its processes is unknown, which is not the same as down.
"""

import xmlrpc.client
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.checks.supervisord import process_table
from holdfast.kernel.catalogue import Catalogue, Service, instance_name
from holdfast.response.ports import CheckContext, CheckResult, Health

RUNNING = "RUNNING"
UNREACHABLE = "UNREACHABLE"
MISSING = "MISSING"

# What asking a dead, half-dead or foreign socket can raise.
ASKING_ERRORS = (OSError, xmlrpc.client.Error, ValueError)


class ServiceStatus:
    """Down if an instance of a service in question isn't RUNNING."""

    name = "service_status"

    def __init__(self, catalogue: Catalogue, *, timeout_s: float = 5.0) -> None:
        self._catalogue = catalogue
        self._timeout_s = timeout_s

    def run(self, context: CheckContext) -> CheckResult:
        placed = processes_of(self._catalogue, context.services)
        tables = {
            path: asked(path, self._timeout_s) for path in {path for path, _ in placed.values()}
        }
        instances = {
            instance: _instance(tables[path], process)
            for instance, (path, process) in placed.items()
        }
        status, summary = _verdict(instances)
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary,
            at=context.now,
            data={"instances": instances},
        )


def processes_of(catalogue: Catalogue, services: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Map each instance to the socket of its supervisord and its process name there."""
    known = (catalogue.services[n] for n in services if n in catalogue.services)
    return {
        instance_name(service.name, region): place
        for service in known
        for region in service.regions
        if (place := _place(service, region)) is not None
    }


def asked(path: str, timeout_s: float) -> Mapping[str, Mapping[str, Any]] | str:
    """Give supervisord's table of processes, or say why it can't be had."""
    try:
        return process_table(path, timeout_s=timeout_s)
    except ASKING_ERRORS as error:
        return f"supervisord at {path} can't be asked: {error}"


def _place(service: Service, region: str) -> tuple[str, str] | None:
    control = service.control.get("supervisord")
    if not control:
        return None
    process = str(control.get("process", "{service}"))
    name = process.replace("{region}", region).replace("{service}", service.name)
    return str(control["socket"]), name


def _instance(table: Mapping[str, Mapping[str, Any]] | str, process: str) -> dict[str, Any]:
    if isinstance(table, str):
        return {"state": UNREACHABLE, "error": table}
    info = table.get(process)
    if info is None:
        return {"state": MISSING, "error": f"supervisord knows no process {process!r}"}
    running = info["statename"] == RUNNING
    return {
        "state": info["statename"],
        "pid": info["pid"],
        # supervisord knows no exit status of a process that ended too quickly, and says 0.
        "exit_status": info["exitstatus"] if info["statename"] == "EXITED" else None,
        "uptime_s": max(info["now"] - info["start"], 0) if running else None,
        "spawn_error": info["spawnerr"] or None,
    }


def _verdict(instances: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
    if not instances:
        return Health.UNKNOWN, "no service in question is under supervisord's control"
    stopped = [
        f"{name} is {i['state']}" + (f" ({i['spawn_error']})" if i.get("spawn_error") else "")
        for name, i in instances.items()
        if i["state"] not in {RUNNING, UNREACHABLE}
    ]
    unseen = [str(i["error"]) for i in instances.values() if i["state"] == UNREACHABLE]
    if stopped:
        return Health.DOWN, "; ".join([*stopped, *dict.fromkeys(unseen)])
    if unseen:
        return Health.UNKNOWN, "; ".join(dict.fromkeys(unseen))
    return Health.HEALTHY, f"all {len(instances)} instances are RUNNING"
