"""Looks at the units that may be restarted: whether systemd is there and would take the restart.

Whether the role is allowed to is for polkit to say, and it says so only when it is asked to act.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.actions.places import filled
from holdfast.actions.supervisord import Deadline
from holdfast.actions.systemd import SYSTEM, Systemd
from holdfast.app.doctor_findings import Finding, Look, failed, fine
from holdfast.kernel.catalogue import Service
from holdfast.kernel.clock import SystemClock


def judge_units(
    what: str, service: Service, settings: Mapping[str, Any], look: Look
) -> Iterator[Finding]:
    """Judge the unit of each region. Raises TargetUnreachableError where nobody answers."""
    systemd = Systemd(
        scope=settings["scope"],
        systemctl=settings["systemctl"],
        runtime_dir=settings.get("runtime_dir"),
    )
    deadline = Deadline.after(SystemClock(), look.timeout_s)
    units = [filled(settings["unit"], service, region) for region in service.regions]
    for name in dict.fromkeys(units):
        unit = systemd.look(name, deadline)
        if why := unit.why_not():
            yield failed(what, f"{name}: {why}")
            continue
        asks = systemd.scope == SYSTEM and os.geteuid() != 0
        note = "; whether we may restart it, polkit says only then" if asks else ""
        yield fine(what, f"{name} is {unit.words()}{note}")
