"""The action of the engine's tests: it writes a line into a file, and the test counts the lines."""

import fcntl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
)


def effects(directory: Path, target: str = "shop") -> list[str]:
    """List the effects at a target: the key of each, in order."""
    file = directory / f"{target}.effects"
    return file.read_text().split() if file.exists() else []


def nothing(_: ActionRequest) -> None:
    """Do nothing more."""


@dataclass(slots=True, kw_only=True)
class WriteMark:
    """Writes a line into the target's file. What happens around it is a test's to say."""

    directory: Path
    repeatability: Repeatability = Repeatability.IDEMPOTENT
    name: str = "write_mark"
    least_impact: str = "low"
    before: Callable[[ActionRequest], None] = nothing
    after: Callable[[ActionRequest], None] = nothing
    looking: Callable[[], None] = lambda: None
    probing: Callable[[], None] = lambda: None
    output: str = ""
    sees: str = ""
    fails: int = 0

    def observe(self, target: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.looking()
        return {
            "reachable": True,
            "reversible": "remove the line",
            "marks": len(effects(self.directory, target)),
            "sees": self.sees,
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        self.before(request)
        if self.fails:
            self.fails -= 1
            return ActionOutcome(
                ok=False, effect=Effect.ABSENT, summary="no room", output=self.output
            )
        with (self.directory / f"{request.target}.effects").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            known = request.idempotency_key in effects(self.directory, request.target)
            if not (known and self.repeatability.may_be_redone):
                file.write(f"{request.idempotency_key}\n")
        self.after(request)
        return ActionOutcome(ok=True, effect=Effect.PRESENT, summary="marked", output=self.output)

    def probe(self, request: ActionRequest) -> ProbeResult:
        self.probing()
        if self.repeatability is Repeatability.NONE:
            return ProbeResult(effect=Effect.UNKNOWN, evidence="nothing can be said afterwards")
        there = request.idempotency_key in effects(self.directory, request.target)
        effect = Effect.PRESENT if there else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=f"the line is {effect.value}")

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Take the line away, if it is there."""
        self.before(request)
        file = self.directory / f"{request.target}.effects"
        lines = effects(self.directory, request.target)
        if request.idempotency_key not in lines:
            return ActionOutcome(
                ok=False, effect=Effect.ABSENT, summary="gone", error_category="nothing_to_undo"
            )
        lines.remove(request.idempotency_key)
        file.write_text("".join(f"{line}\n" for line in lines))
        self.after(request)
        return ActionOutcome(ok=True, effect=Effect.PRESENT, summary="unmarked")


def lose(_: ActionRequest) -> None:
    """Lose the reply."""
    raise LostReplyError("the line went dead")
