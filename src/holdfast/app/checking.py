"""Builds the checks of an installation, for the engine and for `holdfast check`.

A check that reads changes reads them from the ledger; `serve` gives it what it has noticed too.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any

from holdfast.app.installation import Installation
from holdfast.app.ledger_place import database_address
from holdfast.app.models import ConfigModel
from holdfast.checks import ChangesSince, CheckRunner, build_checks
from holdfast.kernel.clock import Clock
from holdfast.ledger import open_ledger
from holdfast.ledger.address import is_there

# The onset of a trouble is only known to some samples, and clocks differ.
_LATE_SAMPLES = 3
_LATE_S_MIN = 5.0


def check_runner(
    installation: Installation, clock: Clock, changes: ChangesSince | None = None
) -> CheckRunner:
    """Build the checks that the configuration has the means for.

    Without `changes` they are read from the ledger of the installation, opened for each reading.
    """
    config = installation.config

    def stored(since: datetime) -> tuple[Mapping[str, Any], ...]:
        return _stored_changes(installation, clock, since)

    checks = build_checks(
        installation.catalogue,
        _settings(config),
        config.deployments.model_dump() if config.deployments else None,
        changes=changes or stored,
    )
    return CheckRunner(checks, timeout_s=config.checks.timeout_s, clock=clock)


def _settings(config: ConfigModel) -> dict[str, Any]:
    """Give the `checks` section; changes are looked through wherever some can become known."""
    settings = config.checks.model_dump(exclude_none=True)
    if config.changes.files or "intake" in config.model_fields_set:
        settings.setdefault("changes", {})
    if "changes" in settings:
        late_s = max(_LATE_SAMPLES * config.sampling_interval_s, _LATE_S_MIN)
        settings["changes"] = {**settings["changes"], "allowance_s": late_s}
    return settings


def _stored_changes(
    installation: Installation, clock: Clock, since: datetime
) -> tuple[Mapping[str, Any], ...]:
    address = database_address(installation.directory)
    if not is_there(address):
        return ()
    with closing(open_ledger(address, clock)) as ledger:
        return ledger.changes_since(since)
