"""The only code that touches a target: between a durable intent and an outcome.

An action runs in a thread of its own, so that one that hangs past its time
leaves its step in doubt instead of stopping the engine.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from holdfast.engine.answers import checked_outcome, checked_pre_image, checked_probe
from holdfast.engine.ports import Audit
from holdfast.incident import Step
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.events import ActionReturned
from holdfast.response.ports import (
    Action,
    ActionOutcome,
    ActionRequest,
    Effect,
    KeptOutput,
    LostReplyError,
    ProbeResult,
    TargetUnreachableError,
)

T = TypeVar("T")

_GRACE_S = 2.0
_LOOK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Performs, probes and observes, and turns every way to fail into a fact."""

    actions: Mapping[str, Action]
    clock: Clock
    audit: Audit | None = None

    def perform(
        self,
        request: ActionRequest,
        step_id: str,
        *,
        redone: bool,
        undo: bool = False,
        late: Callable[[ActionReturned], None] | None = None,
    ) -> ActionReturned:
        """Perform one attempt, or undo the one that the request is of. Never raises.

        What comes after its time is no outcome any more: it goes to `late`, from another thread.
        """
        started_at = self.clock.now()
        try:
            action = self._action(request.action)
        except TargetUnreachableError as error:
            return self._returned(_failed(error), request, step_id, started_at, redone=redone)
        future = _started(lambda: action.undo(request) if undo else action.perform(request))
        wait([future], timeout=request.timeout_s + _GRACE_S)
        if future.done():
            return self._returned(future, request, step_id, started_at, redone=redone)
        given_up = ActionReturned(
            step_id=step_id,
            started_at=started_at,
            ended_at=self.clock.now(),
            lost=f"no answer within {request.timeout_s:.0f} s",
            redone=redone,
        )
        if late is not None:
            future.add_done_callback(
                lambda done: late(self._returned(done, request, step_id, started_at, redone=redone))
            )
        return given_up

    def _returned(
        self,
        done: "Future[ActionOutcome]",
        request: ActionRequest,
        step_id: str,
        started_at: datetime,
        *,
        redone: bool,
    ) -> ActionReturned:
        """Turn what an action came to into the event that tells it."""
        outcome: ActionOutcome | None = None
        lost = unreachable = None
        try:
            given = checked_outcome(done.result())
            outcome = _redacted(given, self._kept(given.output, request, step_id))
        except TargetUnreachableError as error:
            # Nothing else means "no effect": bad input found in the middle of an act proves none.
            unreachable = bounded(error.message)
        except LostReplyError as error:
            lost = bounded(error.message)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the effect is not known
            lost = bounded(f"{type(error).__name__}: {error}")
        return ActionReturned(
            step_id=step_id,
            started_at=started_at,
            ended_at=self.clock.now(),
            outcome=outcome,
            lost=lost,
            unreachable=unreachable,
            redone=redone,
        )

    def _kept(self, output: str, request: ActionRequest, step_id: str) -> KeptOutput | None:
        """Keep the whole output before anything of it is told: what is told is cut and redacted."""
        if self.audit is None or not output:
            return None
        # The key is INCIDENT/STEP/ATTEMPT.
        incident_id = request.idempotency_key.partition("/")[0]
        return self.audit.keep(incident_id=incident_id, step_id=step_id, output=output)

    def probe(self, request: ActionRequest) -> ProbeResult:
        """Look for the effect of an attempt. Never raises: what can't be seen is unknown."""
        try:
            action = self._action(request.action)
            result = checked_probe(_within(lambda: action.probe(request), _LOOK_TIMEOUT_S))
        except FutureTimeoutError:
            return ProbeResult(
                effect=Effect.UNKNOWN, evidence="the target did not answer the probe"
            )
        except Exception as error:  # noqa: BLE001 - a failed look tells nothing
            text = bounded(f"the probe failed: {type(error).__name__}: {error}")
            return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
        return result

    def observe(
        self, name: str, target: str, params: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], str | None]:
        """Read a target. Returns what was seen, and the problem if there is one."""
        try:
            action = self._action(name)
            seen = checked_pre_image(
                _within(lambda: action.observe(target, params), _LOOK_TIMEOUT_S)
            )
        except FutureTimeoutError:
            return {}, f"{target} could not be observed: no answer within {_LOOK_TIMEOUT_S:.0f} s"
        except HoldfastError as error:
            return {}, bounded(error.message)
        except Exception as error:  # noqa: BLE001 - a target that can't be read must not be acted on
            return {}, bounded(f"{target} could not be observed: {type(error).__name__}: {error}")
        if not seen.get("reachable", True):
            return seen, f"{target} can't be reached: {seen.get('why', 'no reason given')}"
        return seen, None

    def _action(self, name: str) -> Action:
        if name not in self.actions:
            known = ", ".join(sorted(self.actions))
            raise TargetUnreachableError(f"action {name!r} is unknown; known are {known}")
        return self.actions[name]


def request_of(step: Step, *, fence: int) -> ActionRequest:
    """Make the request of the attempt that this step intends."""
    return ActionRequest(
        action=step.action,
        target=step.target,
        params=step.params,
        idempotency_key=step.idempotency_key or "",
        fence=fence,
        timeout_s=step.timeout_s,
        pre_image=step.pre_image,
        intended_at=step.intended_at,
    )


def _redacted(outcome: ActionOutcome, kept: KeptOutput | None = None) -> ActionOutcome:
    return ActionOutcome(
        ok=outcome.ok,
        effect=outcome.effect,
        summary=bounded(outcome.summary),
        return_code=outcome.return_code,
        error_category=outcome.error_category,
        output=bounded(outcome.output),
        kept=kept,
    )


def _within(work: Callable[[], T], timeout_s: float) -> T:
    return _started(work).result(timeout=timeout_s)


def _started(work: Callable[[], T]) -> "Future[T]":
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - carried over to the waiting thread
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - an exit in there must not end the engine
            future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    threading.Thread(target=run, name="action", daemon=True).start()
    return future


def _failed(error: Exception) -> "Future[ActionOutcome]":
    future: Future[ActionOutcome] = Future()
    future.set_exception(error)
    return future
