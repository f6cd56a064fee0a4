"""Puts a service's release link back to the release before.

Idempotent at its target: the link is compared before it is set, and a journal
beside it remembers the key. So a repeat is answered and not done again, and one
that comes late, after somebody deployed anew, does nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.actions.directory_lock import LockBusyError
from holdfast.actions.places import before_acting, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.release_link import (
    VERSION,
    LinkError,
    Move,
    Moved,
    ReleaseLink,
)
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

# (service, current version) -> (version to go back to, or None; why)
PreviousRelease = Callable[[str, str], tuple[str | None, str]]

PROBE_S = 5.0
PARAMETERS = frozenset({"to", "from"})


class RollbackDeploy:
    """Roll `service` back in all its regions. Parameters: `to`; `from`, only if at it."""

    name = "rollback_deploy"
    repeatability = Repeatability.IDEMPOTENT
    least_impact = "low"

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        previous_release: PreviousRelease | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._previous_release = previous_release
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        service = self._service(target)
        wanted = _versions(params)
        directory = _directory(service)
        seen: dict[str, Any] = {"service": service.name, "directory": str(directory)}
        try:
            with ReleaseLink(directory, self._clock) as link:
                now = link.read()
                to, why = self._to(service, link, now.version, wanted)
        except LinkError as error:
            reversible = "no: the release link can't be read"
            return {**seen, "reachable": False, "reversible": reversible, "why": error.message}
        return {
            **seen,
            "reachable": True,
            "reversible": f"put the link back to {now.version}",
            "current": now.version,
            "link_id": now.identity,
            "to": to,
            "why": bounded(why, limit=500),
            "planes": [predicted(_plane(service), now=now.version, intended=to)] if to else [],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            service = self._service(request.target)
        before, to = request.pre_image.get("current"), request.pre_image.get("to")
        if not before or not to:
            why = request.pre_image.get("why", "the step has no pre-image")
            return refused("no_previous_release", f"nothing to roll {service.name} back to: {why}")
        move = Move(
            key=request.idempotency_key,
            before=str(before),
            after=str(to),
            identity=request.pre_image.get("link_id"),
        )
        return self._move(service, move, request.timeout_s)

    def probe(self, request: ActionRequest) -> ProbeResult:
        service = self._service(request.target)
        try:
            with self._locked(service, PROBE_S) as link:
                effect, evidence = link.effect_of(request.idempotency_key)
                moved, now = link.link_of(request.idempotency_key), link.read()
                back, _ = link.effect_of(f"{request.idempotency_key}/undo")
        except (LinkError, LockBusyError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        except OSError as error:
            text = f"the release directory of {service.name} can't be read: {error}"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
        data: dict[str, Any] = {
            "current": now.version,
            "link_id": now.identity,
            "link_of_this_step": moved,
            "undone": back is Effect.PRESENT,
        }
        if to := request.pre_image.get("to"):
            plane, reached = _plane(service), now.version == to
            data["planes"] = [compared(plane, now=now.version, intended=to, reached=reached)]
        evidence = f"{evidence}; the link is at {now.version}"
        return ProbeResult(effect=effect, evidence=evidence, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Move the link back, if it is still where this step put it."""
        with before_acting():
            service = self._service(request.target)
        seen = self.probe(request)
        if seen.effect is Effect.UNKNOWN:
            raise TargetUnreachableError(f"{seen.evidence}; nothing was moved")
        if seen.effect is Effect.ABSENT:
            return refused("nothing_to_undo", f"{request.target} was not moved by this step")
        move = Move(
            key=f"{request.idempotency_key}/undo",
            before=str(request.pre_image["to"]),
            after=str(request.pre_image["current"]),
            identity=seen.data["link_of_this_step"],
        )
        outcome = self._move(service, move, request.timeout_s)
        if outcome.error_category == "changed_meanwhile":
            return replace(outcome, error_category="changed_since")
        return outcome

    def _move(self, service: Service, move: Move, timeout_s: float) -> ActionOutcome:
        try:
            with self._locked(service, timeout_s) as link:
                return _outcome(service, self._move_once(link, move))
        except LockBusyError as error:
            # It may be held by a paused worker that carries this very key.
            raise LostReplyError(
                f"{error.message}; whether it moves {service.name} is unknown"
            ) from error
        except (OSError, LinkError) as error:
            raise TargetUnreachableError(
                f"the lock of {_directory(service)} can't be had: {error}; nothing was changed"
            ) from error

    def _move_once(self, link: ReleaseLink, move: Move) -> Moved:
        try:
            if link.effect_of(move.key)[0] is not Effect.PRESENT:
                link.require_complete(move.after)
            return link.move(move)
        except LinkError as error:
            return Moved(
                ok=False, effect=Effect.ABSENT, text=error.message, category="release_incomplete"
            )
        except OSError as error:
            # The disk is full, or worse. What is there under the lock is the truth.
            return _after_failure(link, move, error)

    @contextmanager
    def _locked(self, service: Service, timeout_s: float) -> Iterator[ReleaseLink]:
        link = ReleaseLink(_directory(service), self._clock)
        with link, link.locked(timeout_s):
            yield link

    def _to(
        self, service: Service, link: ReleaseLink, current: str, wanted: Mapping[str, str]
    ) -> tuple[str | None, str]:
        if wanted.get("from", current) != current:
            return None, f"{service.name} runs {current}, not {wanted['from']} as the step says"
        to, why = self._candidate(service, link, current, wanted)
        if to is None:
            return None, why
        if to == current:
            return None, f"{service.name} runs {to} already"
        try:
            link.require_complete(to)
        except LinkError as error:
            return None, error.message
        return to, why

    def _candidate(
        self, service: Service, link: ReleaseLink, current: str, wanted: Mapping[str, str]
    ) -> tuple[str | None, str]:
        if "to" in wanted:
            return wanted["to"], "the step names it"
        if not service.control["release"].get("history"):
            older = link.newest_before(current)
            if older is None:
                return None, f"there is no release older than {current} in the directory"
            return older, f"{older} is the newest directory older than {current}"
        if self._previous_release is None:
            return None, "its history is in a table, but `deployments` is not in holdfast.yaml"
        return self._asked(self._previous_release, service.name, current)

    def _asked(
        self, previous_release: PreviousRelease, service: str, current: str
    ) -> tuple[str | None, str]:
        try:
            return previous_release(service, current)
        except Exception as error:  # noqa: BLE001 - whatever a history raises, it was not told
            words = " ".join(str(error).split())
            return None, f"the deployment history can't be read: {words}"

    def _service(self, target: str) -> Service:
        service = self._catalogue.services.get(target)
        if service is None:
            hint = ""
            if "@" in target:
                hint = "; a release is one for all regions, so name the service without @region"
            raise BadInputError(
                f"rollback_deploy: the catalogue has no service {target!r}{hint}", field="target"
            )
        if not service.control.get("release", {}).get("directory"):
            raise BadInputError(
                f"rollback_deploy: {target} is not under release control;"
                " add control.release.directory to it in services.yaml",
                field="target",
            )
        return service


def _plane(service: Service) -> str:
    return f"release link {service.name}"


def _directory(service: Service) -> Path:
    return Path(str(service.control["release"]["directory"]))


def _versions(params: Mapping[str, Any]) -> Mapping[str, str]:
    if unknown := sorted(set(params) - PARAMETERS):
        raise BadInputError(
            f"rollback_deploy has no parameter {unknown[0]!r}; known: from, to", field="params"
        )
    for name, value in params.items():
        if not isinstance(value, str) or not VERSION.match(value):
            raise BadInputError(
                f"rollback_deploy: {name} is {value!r}, which is no plain version name;"
                " name a release as its directory is called, such as v1.4.2",
                field=f"params.{name}",
            )
    return params


def _outcome(service: Service, moved: Moved) -> ActionOutcome:
    return ActionOutcome(
        ok=moved.ok,
        effect=moved.effect,
        summary=f"{service.name}: {moved.text}",
        return_code=0 if moved.ok else 1,
        error_category=moved.category,
    )


def _after_failure(link: ReleaseLink, move: Move, error: OSError) -> Moved:
    try:
        effect, evidence = link.effect_of(move.key)
    except OSError:
        effect, evidence = Effect.UNKNOWN, "the key journal can't be read"
    return Moved(
        ok=effect is Effect.PRESENT,
        effect=effect,
        text=f"{error.strerror or error}; {evidence}",
        category=None if effect is Effect.PRESENT else "io_error",
    )
