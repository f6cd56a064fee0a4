"""Takes the servers of a target out of a load balancer's pool, softly, and puts them back.

What is under way ends by itself; nothing new goes there. The last server that serves is never taken
out. HAProxy sets what it is told and compares nothing, so a worker that was paused could take a
server out after it was put back: probeable, and a step in doubt is never repeated.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from holdfast.actions.haproxy import HaProxy, SaidNoError, Server
from holdfast.actions.places import before_acting, done, filled, only, refused, regional
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
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
DRAIN: Final = "drain"
READY: Final = "ready"


class TurnPool:
    """Take the servers of `service@region` out (`drain`), or put them back (`ready`)."""

    repeatability = Repeatability.PROBEABLE
    least_impact = "low"

    def __init__(
        self,
        catalogue: Catalogue,
        state: Literal["drain", "ready"],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._state = state
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        return "drain_pool" if self._state == DRAIN else "undrain_pool"

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        only(self.name, params, ())
        proxy, patterns = self._place(target)
        seen = {"instance": target, "backend": proxy.backend}
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            servers = proxy.servers(deadline)
            pid = proxy.pid(deadline)
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "reversible": "no", "why": error.message}
        mine = [each for each in servers if _is_mine(each, patterns)]
        turns = [each.name for each in mine if self._turns(each)]
        why = self._why_not(target, servers, mine, turns)
        other = "put back" if self._state == DRAIN else "taken out again"
        return {
            **seen,
            "reachable": why is None,
            "why": why or "",
            "reversible": f"{', '.join(turns)} can be {other}" if turns else "no: nothing changes",
            "pid": pid,
            "servers": {each.name: each.words() for each in servers},
            "turns": turns,
            "serving_elsewhere": sum(each.serves for each in servers if each not in mine),
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            proxy, patterns = self._place(request.target)
        wanted = request.pre_image.get("turns")
        if not wanted:
            return refused("nothing_to_do", f"{request.target}: no server is to be {self._did}")
        return self._turn(request, proxy, patterns, wanted)

    def probe(self, request: ActionRequest) -> ProbeResult:
        proxy, _ = self._place(request.target)
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            servers = {each.name: each for each in proxy.servers(deadline)}
            same = proxy.pid(deadline) == request.pre_image.get("pid")
        except TargetUnreachableError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        wanted = request.pre_image.get("turns") or ()
        if not wanted or not same:
            text = "HAProxy was reloaded since, and forgot" if wanted else "there is no pre-image"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=f"{request.target}: {text}")
        turned = [name for name in wanted if name in servers and self._is_turned(servers[name])]
        text = f"{request.target}: {len(turned)} of {', '.join(wanted)} are {self._did}"
        effect = Effect.PRESENT if len(turned) == len(wanted) else Effect.UNKNOWN
        effect = effect if turned else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=text, data={"turned": turned})

    def undo(self, request: ActionRequest) -> ActionOutcome:
        turned = self.probe(request).data.get("turned", ())
        if not turned:
            return refused("nothing_to_undo", f"{request.target}: none of its servers was turned")
        back = TurnPool(
            self._catalogue, READY if self._state == DRAIN else DRAIN, clock=self._clock
        )
        return back._turn(request, *self._place(request.target), turned)

    def _turn(
        self,
        request: ActionRequest,
        proxy: HaProxy,
        patterns: Sequence[str],
        wanted: Sequence[str],
    ) -> ActionOutcome:
        """Look again, set, and look once more."""
        deadline = Deadline.after(self._clock, request.timeout_s)
        servers = proxy.servers(deadline)
        mine = [each for each in servers if _is_mine(each, patterns) and each.name in wanted]
        turns = [each.name for each in mine if self._turns(each)]
        if not turns:
            return refused("nothing_to_do", f"{request.target}: {', '.join(wanted)} need nothing")
        if why := self._why_not(request.target, servers, mine, turns):
            return refused("last_server", f"nothing was changed: {why}")
        try:
            proxy.set_state(turns, self._state, deadline)
            said = None
        except SaidNoError as error:
            said = error.message
        return self._ended(request, proxy, turns, said, deadline)

    def _ended(
        self,
        request: ActionRequest,
        proxy: HaProxy,
        turns: Sequence[str],
        said: str | None,
        deadline: Deadline,
    ) -> ActionOutcome:
        """Say what lies there now. Two who drain at once must not leave the pool empty."""
        try:
            after = proxy.servers(deadline)
            if self._state == DRAIN and said is None and not any(each.serves for each in after):
                proxy.set_state(turns, READY, deadline)
                text = "no other server served any more, so it was put back at once"
                return refused("last_server", f"{request.target}: {text}")
        except (TargetUnreachableError, SaidNoError) as error:
            text = f"{request.target}: it was sent, and can't be looked at: {error.message}"
            raise LostReplyError(text) from error
        turned = [each.name for each in after if each.name in turns and self._is_turned(each)]
        if said is not None:
            text = f"{request.target}: {said}; {len(turned)} of {len(turns)} were {self._did}"
            effect = Effect.PRESENT if turned else Effect.ABSENT
            return ActionOutcome(
                ok=False, effect=effect, summary=text, return_code=1, error_category="refused"
            )
        left = sum(each.serves for each in after)
        return done(f"{request.target}: {', '.join(turns)} {self._did}; {left} servers serve now")

    @property
    def _did(self) -> str:
        return "taken out" if self._state == DRAIN else "put back"

    def _turns(self, server: Server) -> bool:
        """Say whether this one is to be changed: what a person set to maintenance is theirs."""
        if server.in_maintenance:
            return False
        return server.drained is not (self._state == DRAIN)

    def _is_turned(self, server: Server) -> bool:
        return server.drained is (self._state == DRAIN)

    def _why_not(
        self, target: str, servers: Sequence[Server], mine: Sequence[Server], turns: Sequence[str]
    ) -> str | None:
        if not mine:
            names = ", ".join(each.name for each in servers) or "none"
            return f"the backend has no server of {target}; its servers are {names}"
        if self._state == DRAIN and turns:
            left = [each for each in servers if each.serves and each.name not in turns]
            if not left:
                return f"it would leave no server that serves: {_listed(servers)}"
        return None

    def _place(self, target: str) -> tuple[HaProxy, tuple[str, ...]]:
        service, regions, control = regional(self._catalogue, self.name, target, "pool")
        place = control["haproxy"]
        proxy = HaProxy(address=str(place["socket"]), backend=str(place["backend"]))
        pattern = str(place["server"])
        return proxy, tuple(filled(pattern, service, region) for region in regions)


def _is_mine(server: Server, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(server.name, pattern) for pattern in patterns)


def _listed(servers: Sequence[Server]) -> str:
    return ", ".join(f"{each.name} is {each.words()}" for each in servers)
