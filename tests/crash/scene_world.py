"""The installation of the crash scenes: services of four kinds, their runbooks, and short times.

Everything is as in a real installation but for the durations: a lease of a second and steps that
take milliseconds, so that a minute holds hundreds of takeovers.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.engine.opening import OpeningFacts
from holdfast.engine.ports import Floats
from holdfast.incident import Record, State
from holdfast.kernel import Catalogue, Clock, Contact, Service, SignalKey, format_at
from holdfast.policy import Grant, Limits
from holdfast.response import ActionFacts, Timing, World
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    CheckContext,
    CheckResult,
    Effect,
    Health,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)
from holdfast.runbooks import Runbook, parse
from tests.crash.scene_target import UnreachableError, call

INTERVAL_S = 0.02
BAD, GOOD = 0.31, 0.004
# The restarts are limited by the action log; the others by nothing but their cooldown.
RESTARTS_MOST, RESTART_WINDOW_S = 4, 60.0
ACTIONS: Mapping[str, Repeatability] = {
    "set_flag": Repeatability.IDEMPOTENT,
    "restart_service": Repeatability.IDEMPOTENT,
    "switch_over": Repeatability.REFUSES_STALE_TOKEN,
    "purge": Repeatability.PROBEABLE,
    "send_order": Repeatability.NONE,
}
_LETTERS = {
    "restart_service": "a", "switch_over": "b", "purge": "c", "send_order": "d", "set_flag": "e",
}  # fmt: skip
# Its steps wait for a person's approval.
SUPERVISED = "a0"
_RUNBOOK = """---
name: use-{action}
title: Use {action}
match:
  incident_type: [high_error_rate]
owner: team
services: [{services}]
---

# Use {action}

## Mitigation

### Do it

```yaml step
action: {action}
target: ${{entity}}
expect:
  - errors{{service="${{entity}}"}} <= baseline * 1.2 + 0.02 for 60ms in each region
retries: 1
cooldown: 10ms
timeout: 300ms
impact: low
```
"""


def services_of(action: str, per_action: int) -> tuple[str, ...]:
    """Name the services that this action mends."""
    return tuple(f"{_LETTERS[action]}{n}" for n in range(per_action))


def every_service(per_action: int) -> tuple[str, ...]:
    """Name all services."""
    return tuple(name for action in ACTIONS for name in services_of(action, per_action))


def _runbooks(per_action: int) -> tuple[Runbook, ...]:
    return tuple(
        parse(
            _RUNBOOK.format(action=action, services=", ".join(services_of(action, per_action))),
            f"use-{action}.md",
        )
        for action in ACTIONS
    )


def make_world(per_action: int, *, lease_s: float = 1.0, mode: str = "autonomous") -> World:
    """Make the installation with so many services of each kind."""
    names = every_service(per_action)
    grants = tuple(
        Grant(runbook=f"use-{action}", service=name, granted_by="dana")
        for action in ACTIONS
        for name in services_of(action, per_action)
        if name != SUPERVISED
    )
    services = {name: Service(name=name, regions=("east",), on_call="dana") for name in names}
    return World(
        catalogue=Catalogue(services=services, contacts={"dana": Contact(id="dana", name="Dana")}),
        runbooks=_runbooks(per_action),
        actions={
            name: ActionFacts(repeatability=kind, least_impact="low")
            for name, kind in ACTIONS.items()
        },
        mode=mode,
        grants=grants,
        limits=Limits(
            restarts_per_target=RESTARTS_MOST, restart_window_s=RESTART_WINDOW_S,
            # A scene has hundreds of incidents in some seconds; what they do is not to run dry.
            actions_per_incident=1_000, actions_per_installation=10_000,
        ),
        timing=Timing(
            sampling_interval_s=INTERVAL_S, sustain_s=0.06, cooldown_s=0.01, lease_s=lease_s,
            ack_timeout_s=30.0, approval_ttl_s=30.0, probe_pause_s=0.05,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTarget:
    """An action of a scene: one request to the target, one reply."""

    name: str
    repeatability: Repeatability
    address: Path
    least_impact: str = "low"

    def observe(self, target: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"reachable": True, "reversible": "no: it is an order", "service": target}

    def perform(self, request: ActionRequest) -> ActionOutcome:
        try:
            answer = self._call("act", request)
        except UnreachableError as error:
            raise TargetUnreachableError(f"{request.target} can't be reached: {error}") from error
        except (OSError, ValueError) as error:
            raise LostReplyError(f"the reply was lost: {error}") from error
        return ActionOutcome(
            ok=answer["ok"], effect=Effect(answer["effect"]), summary=answer["summary"]
        )

    def probe(self, request: ActionRequest) -> ProbeResult:
        try:
            answer = self._call("probe", request)
        except (UnreachableError, OSError, ValueError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=f"no answer: {error}")
        effect = Effect(answer["effect"])
        return ProbeResult(effect=effect, evidence=f"the target says that it is {effect.value}")

    def undo(self, _request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(ok=False, effect=Effect.ABSENT, summary="it can't be undone")

    def _call(self, op: str, request: ActionRequest) -> Mapping[str, Any]:
        return call(
            self.address, request.timeout_s, op=op, kind=self.repeatability.value,
            service=request.target, key=request.idempotency_key, fence=request.fence,
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class TargetReadings:
    """What the services read, from the target's own state: bad from when one broke until mended."""

    address: Path
    clock: Clock
    lock: threading.Lock = field(default_factory=threading.Lock)
    ages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    looked_at: float = 0.0

    def recent(self, key: SignalKey, count: int) -> Sequence[tuple[datetime, float]]:
        ages = self._look()
        now = self.clock.now()
        broken, mended = (ages[name].get(key.service) for name in ("broken", "mended"))
        samples = []
        for ago in (INTERVAL_S * n for n in reversed(range(count))):
            bad = broken is not None and ago <= broken and not (mended is not None and ago < mended)
            samples.append((now - timedelta(seconds=ago), BAD if bad else GOOD))
        return samples

    def since(self, key: SignalKey, since: datetime) -> Sequence[tuple[datetime, float]]:
        return [(at, value) for at, value in self.recent(key, 60) if at >= since]

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        pairs = self.recent(key, 60)
        return np.array([at.timestamp() for at, _ in pairs]), np.array([v for _, v in pairs])

    def _look(self) -> Mapping[str, Mapping[str, float]]:
        with self.lock:
            if self.clock.monotonic() - self.looked_at > INTERVAL_S / 2:
                self.ages = call(self.address, 5.0, op="look")
                self.looked_at = self.clock.monotonic()
            return self.ages


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine:
    """A check that finds nothing."""

    name: str = "http_health"

    def run(self, context: CheckContext) -> CheckResult:
        return CheckResult(
            name=self.name, status=Health.HEALTHY, summary="fine", at=context.now, data={}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """Delivers every page at once."""

    def send(
        self,
        _state: State,
        to: Contact,
        *,
        level: int,
        why: str,
        packet: Mapping[str, Any],  # noqa: ARG002 - the protocol's name
        markdown: str,  # noqa: ARG002 - the protocol's name
    ) -> Mapping[str, Any]:
        return {
            "to": {"id": to.id, "name": to.name}, "level": level, "why": why,
            "deliveries": [{"channel": "bell", "delivered": True, "detail": "-"}],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Watches and notes troubles in a file, for whoever looks into a violation."""

    file: Path

    def on_record(self, record: Record) -> None:
        pass

    def on_trouble(self, text: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{text}\n")


def opening(service: str, at: datetime) -> OpeningFacts:
    """Say what detection would say when this service's errors go up."""
    key = SignalKey(service, "east", "errors")
    signal = {
        "series": str(key), "service": service, "region": "east", "signal": "errors", "state": "bad",
        "severity": "critical", "at": format_at(at), "value": BAD, "expected": GOOD, "low": 0.0,
        "high": 0.02, "score": 40.0, "reason": f"{key} is far above normal",
    }  # fmt: skip
    normal = {k: signal[k] for k in ("service", "region", "signal", "expected", "low", "high")}
    return OpeningFacts(
        title=f"errors of {service}", severity="critical", services=(service,), group=(service,),
        regions=("east",), signals=(signal,), baselines={str(key): normal}, started_at=format_at(at),
        opened_by="detection", why="2 critical readings",
    )  # fmt: skip


@contextmanager
def shortened() -> Iterator[None]:
    """Make the engine's fixed margins as short as the leases here, for this process only."""
    from holdfast.engine import carry, drive, hands

    fixed = [
        (carry, "_LEASE_MARGIN_S", 0.3), (hands, "_GRACE_S", 0.2), (drive, "_BACK_OFF_S", 0.3),
    ]  # fmt: skip
    before = [getattr(module, name) for module, name, _ in fixed]
    for module, name, value in fixed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(fixed, before, strict=True):
            setattr(module, name, value)
