"""Says who takes writes, whether the other follows, and whether it could take over.

It answers when the primary is dead, as that is when it is asked. Two servers that both take
writes are a split brain and are called so. Which server leads is read from the servers, so the
answer is right after a failover too.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from holdfast.checks.parallel import ParallelRuns
from holdfast.checks.replication_server import Server, as_server, look, position
from holdfast.kernel.clock import Clock
from holdfast.response.ports import CheckContext, CheckResult, Health


class ReplicationStatus:
    """Down when nothing takes writes; degraded without a standby that follows closely."""

    name = "replication_status"

    def __init__(
        self,
        *,
        primary: str,
        standby: str,
        max_lag_bytes: int = 16_777_216,
        max_lag_s: float = 30.0,
        timeout_s: float = 4.0,
        clock: Clock | None = None,
    ) -> None:
        self._dsns = {"primary": primary, "standby": standby}
        self._max_lag_bytes = max_lag_bytes
        self._max_lag_s = max_lag_s
        self._timeout_s = timeout_s
        self._runs: ParallelRuns[str, Server] = ParallelRuns(
            timeout_s=timeout_s, name="replication of", clock=clock
        )

    def run(self, context: CheckContext) -> CheckResult:
        jobs: dict[str, Callable[[], Server]] = {
            role: partial(look, dsn, role, self._timeout_s) for role, dsn in self._dsns.items()
        }
        answers = self._runs.run(jobs)
        primary, standby = (as_server(role, answers[role], self._timeout_s) for role in jobs)
        status, problems, facts = self._judged(primary, standby)
        return CheckResult(
            name=self.name,
            status=status,
            summary="; ".join(
                [*(problems or _calm(primary, standby, facts)), *_blind(primary, standby)]
            ),
            at=context.now,
            data={"primary": primary.as_data(), "standby": standby.as_data(), **facts},
        )

    def _judged(self, primary: Server, standby: Server) -> tuple[Health, list[str], dict[str, Any]]:
        pair = (primary, standby)
        leader = next((s for s in pair if s.takes_writes), None)
        follower = next((s for s in pair if s.stands_by), None)
        ready, why = self._ready(primary, standby)
        facts = {
            "leader": leader.role if leader else None,
            "streaming": follower is not None and follower.streams,
            "lag_bytes": _lag_bytes(leader, follower),
            "lag_s": _lag_s(leader, follower),
            "ready_to_promote": ready,
            "ready_why": why,
            "two_primaries": all(s.takes_writes for s in pair),
        }
        gone = [f"the {s.role} can't be reached: {s.error}" for s in pair if not s.reachable]
        if leader is None:
            return Health.DOWN, [_nobody_writes(pair), *gone, why], facts
        problems = [*_split(pair), *gone, *_fenced(pair), *self._behind(leader, follower, facts)]
        if problems:
            return Health.DEGRADED, problems, facts
        return Health.HEALTHY, [_calm(primary, standby, facts)], facts

    def _behind(
        self, leader: Server, follower: Server | None, facts: Mapping[str, Any]
    ) -> list[str]:
        if follower is None:
            return []
        problems = []
        if not follower.streams:
            problems.append(f"the {follower.role} does not stream from the {leader.role}")
        if follower.paused:
            problems.append(f"replay is paused on the {follower.role}")
        if follower.timeline != leader.timeline:
            problems.append(
                f"the {follower.role} is on timeline {follower.timeline},"
                f" the {leader.role} on {leader.timeline}"
            )
        for key, most, unit in (
            ("lag_bytes", self._max_lag_bytes, "bytes"),
            ("lag_s", self._max_lag_s, "s"),
        ):
            if facts[key] is not None and facts[key] > most:
                problems.append(
                    f"the {follower.role} is {facts[key]:.0f} {unit} behind (threshold {most:g})"
                )
        return problems

    def _ready(self, primary: Server, standby: Server) -> tuple[bool, str]:
        """Say whether the standby could take over now, and why (not)."""
        if not standby.reachable:
            return False, f"the standby can't be reached: {standby.error}"
        if not standby.in_recovery:
            return False, "the standby is promoted already"
        if primary.takes_writes:
            return False, "the primary takes writes: promoting the standby would make two of them"
        if standby.paused:
            return False, "replay is paused on the standby; resume it first"
        unreplayed = standby.unreplayed_bytes
        if unreplayed is not None and unreplayed > self._max_lag_bytes:
            return False, (
                f"the standby has {unreplayed} bytes to replay (threshold {self._max_lag_bytes})"
            )
        return True, f"the standby can take over: {_replayed(standby)}"


def _replayed(standby: Server) -> str:
    age = standby.replayed_age_s
    when = "none is known" if age is None else f"{age:.0f} s ago"
    return (
        "it has replayed all that it received, the last transaction"
        f" {when}; what the primary had not sent is not known"
    )


def _lag_bytes(leader: Server | None, follower: Server | None) -> int | None:
    if leader is None or follower is None or leader.lsn is None or follower.lsn is None:
        return None
    return max(position(leader.lsn) - position(follower.lsn), 0)


def _lag_s(leader: Server | None, follower: Server | None) -> float | None:
    """Give the age of the last transaction replayed; none while all that was sent is replayed.

    Without a primary there is nothing to be behind of, and an idle one makes no transactions.
    """
    if leader is None or follower is None:
        return None
    if _lag_bytes(leader, follower) == 0 or (follower.streams and not follower.unreplayed_bytes):
        return 0.0
    return follower.replayed_age_s


def _nobody_writes(pair: tuple[Server, Server]) -> str:
    states = ", ".join(f"the {s.role} {_state(s)}" for s in pair)
    return f"no server that can be reached takes writes: {states}"


def _state(server: Server) -> str:
    if not server.reachable:
        return "is gone"
    if server.in_recovery:
        return "is in recovery"
    return "is read-only" if server.read_only else "takes writes"


def _split(pair: tuple[Server, Server]) -> list[str]:
    if not all(server.takes_writes for server in pair):
        return []
    lines = " and ".join(f"{s.role} (timeline {s.timeline})" for s in pair)
    return [f"split brain: both take writes, {lines}; fence one of them"]


def _fenced(pair: tuple[Server, Server]) -> list[str]:
    """Name a server that left recovery and takes no writes: it follows nobody."""
    return [
        f"the {s.role} is read-only and follows nobody; rejoin it as a standby"
        for s in pair
        if s.leads and s.read_only
    ]


def _calm(primary: Server, standby: Server, facts: Mapping[str, Any]) -> str:
    leader = facts["leader"]
    other = standby.role if leader == primary.role else primary.role
    lag_s = "an unknown time" if facts["lag_s"] is None else f"{facts['lag_s']:.1f} s"
    return (
        f"the {leader} takes writes, the {other} follows,"
        f" {facts['lag_bytes'] or 0} bytes and {lag_s} behind"
    )


def _blind(*servers: Server) -> list[str]:
    blind = [server.role for server in servers if server.reachable and not server.sees_all]
    text = (
        "warning: the role of this check can't see the replication's details on"
        f" {' and '.join(blind)}; grant pg_monitor to it"
    )
    return [text] if blind else []
