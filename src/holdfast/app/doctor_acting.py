"""Looks at what Holdfast would run and call: commands, HTTP calls, checks, watched files.

Nothing is run: a command is looked at as a file, and a call's host is only connected to.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from holdfast.actions import build_actions
from holdfast.app.checking import check_runner
from holdfast.app.control_models import CommandModel
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    failed,
    fine,
    found,
    told,
)
from holdfast.app.doctor_reach import reached
from holdfast.response.ports import CheckContext, Health

_ACTIONS, _CHECKS = "actions", "checks"


def acting_probes(look: Look) -> Iterator[Probe]:
    """List what could be run and called."""
    config = look.installation.config
    yield Probe(area=_CHECKS, what="checks", look=partial(_checks, look))
    for number, file in enumerate(config.changes.files):
        what = f"changes.files.{number}"
        yield Probe(area=_CHECKS, what=what, look=partial(_watched, what, Path(file.path)))
    yield Probe(area=_ACTIONS, what="actions", look=partial(_actions, look))
    for name, command in config.actions.commands.items():
        what = f"command {name}"
        yield Probe(area=_ACTIONS, what=what, look=partial(_command, what, command))
    for name, call in config.actions.http.items():
        what = f"http {name}"
        yield Probe(area=_ACTIONS, what=what, look=partial(_call, what, call.url, look))


def _checks(look: Look) -> Iterator[Finding]:
    """Run every check: each only reads, and has a time limit of its own."""
    now = look.clock.now()
    services = tuple(look.installation.catalogue.services)
    runner = check_runner(look.installation, look.clock)
    results = runner.run(CheckContext(services=services, started_at=now, now=now))
    if not results:
        yield told("checks", "none is configured")
    for name, result in results.items():
        if result.status is Health.HEALTHY:
            yield fine(name, result.summary)
        else:
            step = f"see `holdfast check run {name}`"
            yield found(name, Level.WARNING, f"{result.status.value}: {result.summary}", step)


def _actions(look: Look) -> Iterator[Finding]:
    installation = look.installation
    settings = installation.config.actions.model_dump(exclude_none=True)
    actions = build_actions(installation.catalogue, clock=look.clock, settings=settings)
    yield fine("actions", f"{len(actions)} known")
    if os.geteuid() == 0 and installation.config.mode != "observe":
        yield found(
            "actions",
            Level.WARNING,
            "we are root, and so is everything that an action runs",
            "run Holdfast as a user that may do no more than its actions need",
        )


def _watched(what: str, path: Path) -> Iterator[Finding]:
    if os.access(path, os.R_OK):
        yield fine(what, f"{path} can be read")
    else:
        yield failed(what, f"{path} can't be read by us; correct the path, or mend its rights")


def _command(what: str, command: CommandModel) -> Iterator[Finding]:
    """Say that it is there: what nobody may run is refused when the settings are read."""
    yield fine(what, f"{command.argv[0]} can be run, and only its owner can change it")
    if not Path(command.cwd).is_dir():
        yield failed(what, f"{command.cwd} is no folder; correct `cwd`")


def _call(what: str, url: str, look: Look) -> Iterator[Finding]:
    yield reached(what, url, look.timeout_s)
