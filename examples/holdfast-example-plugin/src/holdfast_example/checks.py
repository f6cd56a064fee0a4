"""Says whether the newest backup is young enough.

It only looks, as every check must: Holdfast may run it at any time, in parallel with others, and
leaves it behind when it takes too long.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import CheckContext, CheckResult, Health


class BackupAge:
    """Degraded when the newest file is too old, down when there is none."""

    name = "backup_age"

    def __init__(self, directory: Path, *, pattern: str, hours_max: float) -> None:
        self._directory = directory
        self._pattern = pattern
        self._hours_max = hours_max

    def run(self, context: CheckContext) -> CheckResult:
        """Look, and say what is there. Whatever is raised here is shown as `down`."""
        if not self._directory.is_dir():
            # Could not look: that is unknown, never healthy.
            return self._result(context, Health.UNKNOWN, f"{self._directory} is no directory", {})
        times = {
            path.name: path.stat().st_mtime
            for path in self._directory.glob(self._pattern)
            if path.is_file()
        }
        if not times:
            text = f"{self._directory} holds no file like {self._pattern}"
            return self._result(context, Health.DOWN, text, {"files": 0})
        newest = max(times, key=lambda name: times[name])
        age = context.now - datetime.fromtimestamp(times[newest], UTC)
        hours = age.total_seconds() / 3600
        old = hours > self._hours_max
        return self._result(
            context,
            Health.DEGRADED if old else Health.HEALTHY,
            f"the newest backup, {newest}, is {hours:.1f} hours old"
            f" (threshold {self._hours_max:g})",
            {"files": len(times), "newest": newest, "age_s": round(age.total_seconds(), 3)},
        )

    def _result(
        self, context: CheckContext, status: Health, summary: str, data: Mapping[str, Any]
    ) -> CheckResult:
        return CheckResult(
            name=self.name, status=status, summary=summary, at=context.now, data=data
        )


def backup_age(catalogue: Catalogue, settings: Mapping[str, Any]) -> BackupAge:  # noqa: ARG001 - each factory gets it
    """Build the check from `checks.plugins.backup_age` of holdfast.yaml.

    `catalogue` holds the services, for checks that look at them.
    """
    directory = settings.get("directory")
    if not isinstance(directory, str):
        raise BadInputError("has no `directory`; name where the backups lie", field="directory")
    hours_max = settings.get("hours_max", 26)
    if isinstance(hours_max, bool) or not isinstance(hours_max, int | float) or hours_max <= 0:
        raise BadInputError(
            f"has hours_max {hours_max!r}; write a number above 0", field="hours_max"
        )
    pattern = str(settings.get("pattern", "*"))
    return BackupAge(Path(directory), pattern=pattern, hours_max=float(hours_max))
