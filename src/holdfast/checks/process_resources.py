"""Says what the processes of the services in question use, and in what state they are.

supervisord names the process, Linux tells of it. A process that is stopped or a zombie still
counts as RUNNING for supervisord; here it shows. What can't be seen is named and is never taken
for well.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from holdfast.checks.proc import PROC, ProcessFacts, read_process
from holdfast.checks.service_status import RUNNING, asked, processes_of
from holdfast.kernel.catalogue import Catalogue
from holdfast.response.ports import CheckContext, CheckResult, Health

MEMORY_SHARE_MAX = 0.9
# supervisord tells whole seconds and the clock may be set; a pid of another machine or of another
# container is off by far more.
_AGE_TOLERANCE_S = 120.0
_STATES = {
    "T": "it is stopped (state T): a SIGSTOP or a debugger; it needs a SIGCONT or a restart",
    "t": "a debugger has stopped it (state t)",
    "Z": "it has ended and nobody has collected it (a zombie, state Z)",
}


class ProcessResources:
    """Degraded when a process is stopped, a zombie, or over a limit of memory or open files."""

    name = "process_resources"

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        memory_max_bytes: int | None = None,
        open_files_share_max: float = 0.9,
        timeout_s: float = 5.0,
    ) -> None:
        self._catalogue = catalogue
        self._memory_max_bytes = memory_max_bytes
        self._open_files_share_max = open_files_share_max
        self._timeout_s = timeout_s

    def run(self, context: CheckContext) -> CheckResult:
        placed = processes_of(self._catalogue, context.services)
        tables = {path: asked(path, self._timeout_s) for path in {p for p, _ in placed.values()}}
        seen = {
            instance: _look(tables[path], process) for instance, (path, process) in placed.items()
        }
        instances = {
            name: {**asdict(facts), "problems": self._problems(facts)}
            for name, facts in seen.items()
            if isinstance(facts, ProcessFacts)
        }
        unseen = {name: why for name, why in seen.items() if isinstance(why, str)}
        status, summary = _verdict(instances, unseen)
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary,
            at=context.now,
            data={"instances": instances, "unseen": unseen},
        )

    def _problems(self, facts: ProcessFacts) -> list[str]:
        problems = [_STATES[facts.state]] if facts.state in _STATES else []
        memory, limit = facts.memory_bytes, facts.memory_limit_bytes
        if self._memory_max_bytes is not None and memory > self._memory_max_bytes:
            problems.append(f"{_mb(memory)} of memory (threshold {_mb(self._memory_max_bytes)})")
        if limit is not None and memory > MEMORY_SHARE_MAX * limit:
            problems.append(
                f"{_mb(memory)} of memory, {memory / limit:.0%} of its control group's limit"
                f" (threshold {MEMORY_SHARE_MAX:.0%})"
            )
        if facts.open_files is not None and facts.open_files_max:
            share = facts.open_files / facts.open_files_max
            if share > self._open_files_share_max:
                problems.append(
                    f"{facts.open_files} of {facts.open_files_max} files open"
                    f" (threshold {self._open_files_share_max:.0%})"
                )
        return problems


def _look(table: Mapping[str, Mapping[str, Any]] | str, process: str) -> ProcessFacts | str:
    """Read one process, or say why that can't be done."""
    if isinstance(table, str):
        return table
    if not PROC.joinpath("self").exists():
        return "this system has no /proc, so nothing is known of its processes"
    info = table.get(process)
    if info is None:
        return f"supervisord knows no process {process!r}"
    if info["statename"] != RUNNING or not info["pid"]:
        return f"it does not run: supervisord says {info['statename']}"
    try:
        facts = read_process(int(info["pid"]))
    except OSError as error:
        return f"pid {info['pid']} can't be looked at: {error.strerror or error}"
    if abs(facts.age_s - (info["now"] - info["start"])) > _AGE_TOLERANCE_S:
        return (
            f"pid {info['pid']} is another process here (it is {facts.age_s:.0f} s old, the one"
            f" that supervisord started {info['now'] - info['start']} s): run Holdfast where the"
            " process runs"
        )
    return facts


def _verdict(
    instances: Mapping[str, Mapping[str, Any]], unseen: Mapping[str, str]
) -> tuple[Health, str]:
    if not instances and not unseen:
        return Health.UNKNOWN, "no service in question is under supervisord's control"
    troubled = [
        f"{name}: {', '.join(i['problems'])}" for name, i in instances.items() if i["problems"]
    ]
    hidden = [f"{name}: {why}" for name, why in unseen.items()]
    if troubled:
        return Health.DEGRADED, "; ".join([*troubled, *hidden])
    if hidden:
        return Health.UNKNOWN, "; ".join(hidden)
    most = max(i["memory_bytes"] for i in instances.values())
    return Health.HEALTHY, f"all {len(instances)} are well, the largest has {_mb(most)} of memory"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
