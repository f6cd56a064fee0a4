"""Takes the servers of a target out of a load balancer's pool, softly, and puts them back.

What is under way ends by itself; nothing new goes there. The last server that serves is never taken
out. HAProxy sets what it is told and compares nothing, so a worker that was paused could take a
server out after it was put back: probeable, and a step in doubt is never repeated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from holdfast.actions.haproxy import SaidNoError, Server
from holdfast.actions.haproxy_pool import Pool, pool_of, share_out, why_not_out
from holdfast.actions.places import before_acting, done, only, refused
from holdfast.actions.planes import compared, predicted
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
        pool = pool_of(self._catalogue, self.name, target)
        seen = {"instance": target, "backend": pool.proxy.backend}
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            servers = pool.proxy.servers(deadline)
            pid = pool.proxy.pid(deadline)
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "reversible": "no", "why": error.message}
        turns = [each for each in pool.mine(servers) if self._turns(each)]
        names = [each.name for each in turns]
        why = why_not_out(target, pool, servers, self._out(names))
        other = "put back" if self._state == DRAIN else "taken out again"
        share = {"pool_share": share_out(servers, names)} if self._out(names) else {}
        return {
            **seen,
            **share,
            "reachable": why is None,
            "why": why or "",
            "reversible": f"{', '.join(names)} can be {other}" if names else "no: nothing changes",
            "pid": pid,
            "servers": {each.name: each.words() for each in servers},
            "turns": names,
            "serving_elsewhere": sum(each.serves for each in servers if not pool.is_mine(each)),
            "planes": [] if why else self._planes(pool, turns),
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            pool = pool_of(self._catalogue, self.name, request.target)
        wanted = request.pre_image.get("turns")
        if not wanted:
            return refused("nothing_to_do", f"{request.target}: no server is to be {self._did}")
        return self._turn(request, pool, wanted)

    def probe(self, request: ActionRequest) -> ProbeResult:
        pool = pool_of(self._catalogue, self.name, request.target)
        wanted = request.pre_image.get("turns") or ()
        try:
            servers, same = self._looked(request, pool)
        except TargetUnreachableError as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        planes = [self._compared(pool, name, servers.get(name)) for name in wanted]
        if not wanted or not same:
            text = "HAProxy was reloaded since, and forgot" if wanted else "there is no pre-image"
            evidence = f"{request.target}: {text}"
            return ProbeResult(effect=Effect.UNKNOWN, evidence=evidence, data={"planes": planes})
        turned = [name for name in wanted if name in servers and self._is_turned(servers[name])]
        text = f"{request.target}: {len(turned)} of {', '.join(wanted)} are {self._did}"
        effect = Effect.PRESENT if len(turned) == len(wanted) else Effect.UNKNOWN
        effect = effect if turned else Effect.ABSENT
        return ProbeResult(effect=effect, evidence=text, data={"turned": turned, "planes": planes})

    def undo(self, request: ActionRequest) -> ActionOutcome:
        """Turn back what is as this step left it; what a person did since stays theirs."""
        with before_acting():
            pool = pool_of(self._catalogue, self.name, request.target)
        wanted = request.pre_image.get("turns") or ()
        servers, same = self._looked(request, pool)
        theirs = [
            f"{name} is {servers[name].words() if name in servers else 'gone'}"
            for name in wanted
            if name not in servers or servers[name].in_maintenance
        ]
        if wanted and not same:
            theirs = ["HAProxy was reloaded, and has what its file says"]
        if theirs:
            text = f"{request.target}: changed since by somebody else: {', '.join(theirs)}"
            return refused("changed_since", f"{text}; nothing was changed")
        turned = [name for name in wanted if self._is_turned(servers[name])]
        if not turned:
            return refused("nothing_to_undo", f"{request.target}: none of its servers is turned")
        other: Literal["drain", "ready"] = READY if self._state == DRAIN else DRAIN
        back = TurnPool(self._catalogue, other, clock=self._clock)
        return back._turn(request, pool, turned)

    def _looked(self, request: ActionRequest, pool: Pool) -> tuple[dict[str, Server], bool]:
        """Read the servers, and whether it is the HAProxy that the step was told to."""
        deadline = Deadline.after(self._clock, LOOK_S)
        servers = {each.name: each for each in pool.proxy.servers(deadline)}
        return servers, pool.proxy.pid(deadline) == request.pre_image.get("pid")

    def _turn(self, request: ActionRequest, pool: Pool, wanted: Sequence[str]) -> ActionOutcome:
        """Look again, set, and look once more."""
        deadline = Deadline.after(self._clock, request.timeout_s)
        servers = pool.proxy.servers(deadline)
        mine = [each for each in pool.mine(servers) if each.name in wanted]
        turns = [each.name for each in mine if self._turns(each)]
        if not turns:
            return refused("nothing_to_do", f"{request.target}: {', '.join(wanted)} need nothing")
        if why := why_not_out(request.target, pool, servers, self._out(turns)):
            return refused("last_server", f"nothing was changed: {why}")
        try:
            pool.proxy.set_state(turns, self._state, deadline)
            said = None
        except SaidNoError as error:
            said = error.message
        return self._ended(request, pool, turns, said, deadline)

    def _ended(
        self,
        request: ActionRequest,
        pool: Pool,
        turns: Sequence[str],
        said: str | None,
        deadline: Deadline,
    ) -> ActionOutcome:
        """Say what lies there now. Two who drain at once must not leave the pool empty."""
        try:
            after = pool.proxy.servers(deadline)
            if self._state == DRAIN and said is None and not any(each.serves for each in after):
                pool.proxy.set_state(turns, READY, deadline)
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

    @property
    def _intended(self) -> str:
        return "drained" if self._state == DRAIN else "ready"

    def _out(self, names: Sequence[str]) -> Sequence[str]:
        """Name those that go out by it: putting back is never limited."""
        return names if self._state == DRAIN else ()

    def _planes(self, pool: Pool, turns: Sequence[Server]) -> list[dict[str, Any]]:
        return [
            predicted(pool.plane(each.name), now=each.words(), intended=self._intended)
            for each in turns
        ]

    def _compared(self, pool: Pool, name: str, server: Server | None) -> dict[str, Any]:
        return compared(
            pool.plane(name),
            now=server.words() if server else "gone",
            intended=self._intended,
            reached=server is not None and self._is_turned(server),
        )

    def _turns(self, server: Server) -> bool:
        """Say whether this one is to be changed: what a person set to maintenance is theirs."""
        if server.in_maintenance:
            return False
        return server.drained is not (self._state == DRAIN)

    def _is_turned(self, server: Server) -> bool:
        return server.drained is (self._state == DRAIN)
