"""Sets how much of a load balancer's pool goes to the servers of a target.

What it was is compared before it is set, but by us: HAProxy compares nothing, so a worker that was
paused could set it again after somebody else did: probeable, and a step in doubt is never repeated.
A weight of 0 is a drain by another name, and the last server that serves is never given one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.actions.haproxy import WEIGHT_MAX, SaidNoError, Server
from holdfast.actions.haproxy_pool import Pool, pool_of, share_out, why_not_out
from holdfast.actions.places import before_acting, done, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
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

LOOK_S = 5.0
_PERCENT = re.compile(r"(\d{1,4})%", re.ASCII)
_Weights = Mapping[str, int]


class SetWeight:
    """Set the `weight` of the servers of `service@region`: 0 to 256, or "50%" of the configured."""

    name = "set_weight"
    repeatability = Repeatability.PROBEABLE
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = _weight(params)
        pool = pool_of(self._catalogue, self.name, target)
        seen: dict[str, Any] = {"instance": target, "backend": pool.proxy.backend}
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            servers = pool.proxy.servers(deadline)
            pid = pool.proxy.pid(deadline)
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "reversible": "no", "why": error.message}
        mine = [each for each in pool.mine(servers) if not each.in_maintenance]
        sets = _sets(mine, asked)
        before = {each.name: each.weight for each in mine if each.name in sets}
        why = why_not_out(target, pool, servers, _zeroed(sets)) or _why_not(mine, sets, asked)
        share = {"pool_share": share_out(servers, _zeroed(sets))} if _zeroed(sets) else {}
        back = ", ".join(f"{name} back to {weight}" for name, weight in before.items())
        planes = [_planned(pool, name, before[name], weight) for name, weight in sets.items()]
        return {
            **seen,
            **share,
            "reachable": why is None,
            "why": why or "",
            "reversible": f"set {back}" if sets else "no: nothing changes",
            "pid": pid,
            "weights": {each.name: each.weight for each in pool.mine(servers)},
            "before": before,
            "sets": sets,
            "serving_elsewhere": sum(each.serves for each in servers if not pool.is_mine(each)),
            "planes": [] if why else planes,
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            pool = pool_of(self._catalogue, self.name, request.target)
        before, sets = _looked_at(request)
        if not sets:
            return refused("nothing_to_do", f"{request.target}: no weight is to be changed")
        return self._set(request, pool, before, sets, "changed_meanwhile")

    def probe(self, request: ActionRequest) -> ProbeResult:
        pool = pool_of(self._catalogue, self.name, request.target)
        _, sets = _looked_at(request)
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            now = {each.name: each.weight for each in pool.proxy.servers(deadline)}
            same = pool.proxy.pid(deadline) == request.pre_image.get("pid")
        except TargetUnreachableError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        data = {"planes": [_seen(pool, name, now.get(name), sets[name]) for name in sets]}
        if not sets or not same:
            text = "HAProxy was reloaded since, and forgot" if sets else "there is no pre-image"
            evidence = f"{request.target}: {text}"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=evidence, data=data)
        reached = [name for name in sets if now.get(name) == sets[name]]
        text = f"{request.target}: {len(reached)} of {', '.join(sets)} have the weight of this step"
        effect = Effect.PRESENT if len(reached) == len(sets) else Effect.UNKNOWN
        effect = effect if reached else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Set the old weights again, where nobody set another one since."""
        with before_acting():
            pool = pool_of(self._catalogue, self.name, request.target)
        before, sets = _looked_at(request)
        deadline = Deadline.after(self._clock, LOOK_S)
        now = {each.name: each.weight for each in pool.proxy.servers(deadline)}
        if sets and pool.proxy.pid(deadline) != request.pre_image.get("pid"):
            text = "HAProxy was reloaded since, and has the weights of its file"
            return refused("changed_since", f"{request.target}: {text}; nothing was changed")
        undone = {name: before[name] for name in sets if now.get(name) != before[name]}
        if not undone:
            return refused("nothing_to_undo", f"{request.target}: each has its old weight")
        set_here = {name: sets[name] for name in undone}
        return self._set(request, pool, set_here, undone, "changed_since")

    def _set(
        self, request: ActionRequest, pool: Pool, expected: _Weights, sets: _Weights, category: str
    ) -> ActionOutcome:
        """Compare with what is expected to be there, set, and look once more."""
        deadline = Deadline.after(self._clock, request.timeout_s)
        servers = pool.proxy.servers(deadline)
        now = {each.name: each for each in servers if pool.is_mine(each)}
        for name, weight in expected.items():
            if name not in now or now[name].in_maintenance or now[name].weight != weight:
                found = _words(now.get(name))
                text = f"{name} is {found} now, not at weight {weight}; somebody else changed it"
                return refused(category, f"{request.target}: {text}; nothing was changed")
        if why := why_not_out(request.target, pool, servers, _zeroed(sets)):
            return refused("last_server", f"nothing was changed: {why}")
        try:
            pool.proxy.set_weights(sets, deadline)
            said = None
        except SaidNoError as error:
            said = error.message
        return self._ended(request, pool, expected, sets, said, deadline)

    def _ended(
        self,
        request: ActionRequest,
        pool: Pool,
        expected: _Weights,
        sets: _Weights,
        said: str | None,
        deadline: Deadline,
    ) -> ActionOutcome:
        """Say what lies there now. Two who zero at once must not leave the pool empty."""
        try:
            after = pool.proxy.servers(deadline)
            if _zeroed(sets) and said is None and not any(each.serves for each in after):
                pool.proxy.set_weights(expected, deadline)
                text = "no other server served any more, so the old weight was set again at once"
                return refused("last_server", f"{request.target}: {text}")
        except (TargetUnreachableError, SaidNoError) as error:
            text = f"{request.target}: it was sent, and can't be looked at: {error.message}"
            raise LostReplyError(text) from error
        reached = [each.name for each in after if sets.get(each.name) == each.weight]
        if said is not None:
            text = f"{request.target}: {said}; {len(reached)} of {len(sets)} were set"
            effect = Effect.PRESENT if reached else Effect.ABSENT
            return ActionOutcome(
                ok=False, effect=effect, summary=text, return_code=1, error_category="refused"
            )
        listed = ", ".join(f"{name} has weight {weight}" for name, weight in sets.items())
        left = sum(each.serves for each in after)
        return done(f"{request.target}: {listed}; {left} servers serve now")


def _weight(params: Mapping[str, Any]) -> int | str:
    """Read what is asked for. Raises BadInputError."""
    only("set_weight", params, ("weight",))
    weight = params.get("weight")
    if isinstance(weight, int) and not isinstance(weight, bool) and 0 <= weight <= WEIGHT_MAX:
        return weight
    if isinstance(weight, str) and _PERCENT.fullmatch(weight):
        return weight
    raise BadInputError(
        f"set_weight: weight is {weight!r}; write a whole number from 0 to {WEIGHT_MAX}, or a"
        ' share of the configured weight, such as "50%"',
        field="params.weight",
    )


def _sets(mine: Sequence[Server], asked: int | str) -> dict[str, int]:
    """Say which server gets which weight; one that has it already is left alone."""
    wanted = {each.name: _of(each, asked) for each in mine}
    return {each.name: wanted[each.name] for each in mine if each.weight != wanted[each.name]}


def _of(server: Server, asked: int | str) -> int:
    """Work out a share as HAProxy does, which cuts off what is behind the point."""
    if isinstance(asked, int):
        return asked
    return server.weight_configured * int(asked.rstrip("%")) // 100


def _why_not(mine: Sequence[Server], sets: _Weights, asked: int | str) -> str | None:
    if not isinstance(asked, str):
        return None
    for server in mine:
        weight = sets.get(server.name, 0)
        share = f"{asked} of {server.name}'s configured weight {server.weight_configured} is"
        if weight > WEIGHT_MAX:
            return f"{share} {weight}, and {WEIGHT_MAX} is the most; ask for less"
        if server.name in sets and not weight and asked != "0%":
            return f"{share} less than 1, which would take it out; write 0 if that is meant"
    return None


def _zeroed(sets: _Weights) -> list[str]:
    return [name for name, weight in sets.items() if not weight]


def _looked_at(request: ActionRequest) -> tuple[dict[str, int], dict[str, int]]:
    seen = request.pre_image
    return dict(seen.get("before") or {}), dict(seen.get("sets") or {})


def _words(server: Server | None) -> str:
    if server is None:
        return "gone from the backend"
    return "in maintenance" if server.in_maintenance else f"at weight {server.weight}"


def _planned(pool: Pool, name: str, now: int, intended: int) -> dict[str, Any]:
    return predicted(pool.plane(name), now=f"weight {now}", intended=f"weight {intended}")


def _seen(pool: Pool, name: str, now: int | None, intended: int) -> dict[str, Any]:
    return compared(
        pool.plane(name),
        now="gone" if now is None else f"weight {now}",
        intended=f"weight {intended}",
        reached=now == intended,
    )
