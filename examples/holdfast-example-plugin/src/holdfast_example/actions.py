"""Pauses a service's batch jobs by a file that the jobs look for before they begin.

The file is made only where none is, and holds the key of the step that made it: that is how a probe
tells our pause from somebody else's. It remembers no key once the file is gone, so a worker that
comes late could pause again what a person let go on: `probeable`, and no more is claimed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)


class PauseJobs:
    """Pause the jobs of `service`. Takes no parameters."""

    name = "pause_jobs"
    repeatability = Repeatability.PROBEABLE
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, directory: Path) -> None:
        self._catalogue = catalogue
        self._directory = directory

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say what is there now. Nothing is changed here, in any mode."""
        if params:
            raise BadInputError("pause_jobs takes no parameters; leave them out", field="params")
        path = self._path(target)
        if not self._directory.is_dir():
            why = f"{self._directory} is no directory"
            return {"reachable": False, "reversible": "no", "why": why}
        held_by = self._held_by(path)
        return {
            "reachable": held_by is None,
            "why": "" if held_by is None else f"its jobs are paused already, by {held_by}",
            "reversible": f"remove {path}",
            "file": str(path),
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        """Act once. Raise what is true: certainly nothing done, or it can't be told."""
        try:
            path = self._path(request.target)
            file = path.open("x", encoding="utf-8")
        except FileExistsError:
            return self._there_already(request)
        except BadInputError as error:
            raise TargetUnreachableError(f"nothing was done: {error.message}") from error
        except OSError as error:
            raise TargetUnreachableError(f"nothing was done: {error.strerror}") from error
        try:
            with file:
                file.write(request.idempotency_key)
        except OSError as error:
            raise LostReplyError(f"{path} may be half written: {error.strerror}") from error
        return _done(f"the jobs of {request.target} are paused by {path}")

    def probe(self, request: ActionRequest) -> ProbeResult:
        """Look for the effect of this very attempt."""
        held_by = self._held_by(self._path(request.target))
        ours = held_by == request.idempotency_key
        effect = Effect.PRESENT if ours else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=f"paused by {held_by or 'nobody'}")

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Take back what this attempt did, and nothing that somebody else did."""
        path = self._path(request.target)
        if self._held_by(path) != request.idempotency_key:
            return _left_alone(f"{path} is not of this step")
        path.unlink(missing_ok=True)
        return _done(f"the jobs of {request.target} go on")

    def _there_already(self, request: ActionRequest) -> ActionOutcome:
        path = self._path(request.target)
        if self._held_by(path) == request.idempotency_key:
            return _done(f"not paused again: {path} is of this step")
        return _left_alone(f"{path} is somebody else's")

    def _path(self, target: str) -> Path:
        if target not in self._catalogue.services:
            raise BadInputError(
                f"pause_jobs: no service {target!r}; name one of services.yaml", field="target"
            )
        return self._directory / f"{target}.paused"

    def _held_by(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def _done(text: str) -> ActionOutcome:
    return ActionOutcome(ok=True, effect=Effect.PRESENT, summary=text, return_code=0)


def _left_alone(text: str) -> ActionOutcome:
    return ActionOutcome(
        ok=False,
        effect=Effect.ABSENT,
        summary=f"{text}; it is left alone",
        return_code=1,
        error_category="changed_meanwhile",
    )


def pause_jobs(catalogue: Catalogue, settings: Mapping[str, Any]) -> PauseJobs:
    """Build the action from `actions.plugins.pause_jobs` of holdfast.yaml."""
    directory = settings.get("directory")
    if not isinstance(directory, str) or not directory.startswith("/"):
        raise BadInputError(
            "has no `directory`; name where the jobs look, as an absolute path", field="directory"
        )
    return PauseJobs(catalogue, Path(directory))
