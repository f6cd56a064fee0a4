"""One intent with all that the oracle may know of it: the records, and the world at that moment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.incident import Record
from holdfast.response import World
from holdfast.response.store import LoggedAction
from tests.unsafe.history import History

MODES = ("observe", "guided", "supervised", "autonomous")
Objections = Iterator[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What an intent is judged by beside the records. `deployed_at`: of the newest release."""

    now: datetime
    world: World
    freeze: object | None
    window: object | None
    modes: Sequence[Any]
    overrides: Sequence[Any]
    log: Sequence[LoggedAction]
    pool_share: float | None
    deployed_at: datetime
    newest_sample_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One intent, as it is about to be written."""

    history: History
    around: Around
    intent: Mapping[str, Any]
    cause: int | None

    @property
    def proposal(self) -> Record:
        return self.history.proposal(self.intent["step_id"])

    @property
    def action(self) -> str:
        return str(self.intent["action"])

    @property
    def target(self) -> str:
        return str(self.intent["target"])

    @property
    def service(self) -> str:
        return self.target.partition("@")[0]

    @property
    def region(self) -> str | None:
        return self.target.partition("@")[2] or None

    @property
    def directed(self) -> bool:
        return self.proposal.data.get("plan_index") is None

    @property
    def undoes(self) -> str | None:
        """Name the step that this one puts back: that adds nothing, and goes nowhere new."""
        return self.proposal.data.get("undo_of")

    @property
    def mode(self) -> str:
        """Take the lowest of what everybody concerned allows."""
        runbook = None if self.directed else self.history.runbook()
        said = [self.around.world.mode]
        said += [each.mode.value for each in self.around.modes if self._covers(each.scope)]
        if runbook is None or not self._granted(runbook["runbook"]):
            said.append("supervised")
        if runbook is not None and runbook["mode"]:
            said.append(runbook["mode"])
        return min(said, key=MODES.index)

    def _covers(self, scope: str) -> bool:
        return scope in {"all", f"service:{self.service}", "incident:INC-1"}

    def _granted(self, runbook: str) -> bool:
        grants = self.around.world.grants
        return any((g.runbook, g.service) == (runbook, self.service) for g in grants)

    def raised(self, limit: str) -> bool:
        """Say whether an override that this intent uses up raises a limit."""
        used = set(self.intent.get("override_ids", ()))
        return any(
            each.limit == limit for each in self.around.overrides if each.override_id in used
        )
