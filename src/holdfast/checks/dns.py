"""Says whether names resolve, and to what they should.

The system's resolver is asked, as the services themselves ask it: files and caches included.
A resolver can't be interrupted, so each question runs beside the others with a limit of its own.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from holdfast.checks.parallel import Answer, Hanging, ParallelRuns, Raised
from holdfast.kernel.clock import Clock
from holdfast.kernel.redact import bounded
from holdfast.response.ports import CheckContext, CheckResult, Health

FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsName:
    """One name; with `expect`, the addresses that it has to have, no more and no less."""

    name: str
    type: str = "A"
    expect: tuple[str, ...] = ()
    service: str | None = None

    @property
    def question(self) -> str:
        return self.name if self.type == "A" else f"{self.name} {self.type}"


class Dns:
    """Down when a name does not resolve, degraded when it resolves to something else."""

    name = "dns"

    def __init__(
        self, names: Sequence[DnsName], *, timeout_s: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._names = {each.question: each for each in names}
        self._timeout_s = timeout_s
        self._runs: ParallelRuns[str, tuple[str, ...]] = ParallelRuns(
            timeout_s=timeout_s, name="address of", clock=clock
        )

    def run(self, context: CheckContext) -> CheckResult:
        jobs: dict[str, Callable[[], tuple[str, ...]]] = {
            question: partial(resolve, each.name, each.type)
            for question, each in self._names.items()
        }
        answers = self._runs.run(jobs)
        names = {
            question: self._reading(each, answers[question])
            for question, each in self._names.items()
        }
        status, summary = _verdict(names)
        return CheckResult(
            name=self.name, status=status, summary=summary, at=context.now, data={"names": names}
        )

    def _reading(self, each: DnsName, answer: Answer[tuple[str, ...]]) -> dict[str, Any]:
        match answer.result:
            case Hanging():
                facts = _unresolved(f"the resolver gave no answer within {self._timeout_s:g} s")
            case Raised(error=error):
                text = getattr(error, "strerror", None) or str(error)
                facts = _unresolved(bounded(f"does not resolve: {text}", limit=300))
            case addresses:
                facts = _compared(addresses, each.expect)
        facts["ms"] = round(answer.took_s * 1000, 1)
        return {**facts, "service": each.service} if each.service else facts


def resolve(name: str, type_: str) -> tuple[str, ...]:
    """Ask the system's resolver. Raises OSError where there is no such address."""
    found = socket.getaddrinfo(name, None, FAMILIES[type_], socket.SOCK_STREAM)
    return tuple(sorted({str(address[4][0]) for address in found}))


def _compared(addresses: tuple[str, ...], expect: tuple[str, ...]) -> dict[str, Any]:
    seen, wanted = set(map(_address, addresses)), set(map(_address, expect))
    problem = None
    if wanted and seen != wanted:
        problem = f"resolves to {', '.join(addresses)}, not to {', '.join(expect)}"
    return {
        "addresses": list(addresses),
        "status": (Health.DEGRADED if problem else Health.HEALTHY).value,
        "problem": problem,
    }


def _address(text: str) -> IPv4Address | IPv6Address:
    """Compare addresses, not how they are written; the zone of a local one says nothing here."""
    return ip_address(text.partition("%")[0])


def _unresolved(why: str) -> dict[str, Any]:
    return {"addresses": [], "status": Health.DOWN.value, "problem": why}


def _verdict(names: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
    found = {str(facts["status"]) for facts in names.values()}
    worst = next(
        (each for each in (Health.DOWN, Health.DEGRADED) if each.value in found), Health.HEALTHY
    )
    told = [f"{name} {facts['problem']}" for name, facts in names.items() if facts["problem"]]
    calm = (f"{name} is {', '.join(facts['addresses'])}" for name, facts in names.items())
    return worst, "; ".join(told or calm)
