"""Says how long the certificates of servers hold, and why one is not trusted.

It connects as a client does and verifies as a client does, so that what it calls well works.
A server that can't be reached says nothing of its certificate: that is unknown.
"""

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from holdfast.checks.parallel import Answer, Hanging, ParallelRuns, Raised
from holdfast.kernel.clock import Clock, format_at
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import CheckContext, CheckResult, Health

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsHost:
    """One server; `ca_file` (PEM) takes the place of those whom the system trusts."""

    host: str
    port: int = 443
    server_name: str | None = None
    warn_days: float = 21.0
    ca_file: str | None = None
    service: str | None = None

    @property
    def name(self) -> str:
        """The address; with the name that is asked for where that is another."""
        address = f"{self.host}:{self.port}"
        return f"{address} ({self.server_name})" if self.server_name else address


class TlsExpiry:
    """Degraded when a certificate ends within `warn_days`, down when it can't be verified."""

    name = "tls_expiry"

    def __init__(
        self, hosts: Sequence[TlsHost], *, timeout_s: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._hosts = {each.name: each for each in hosts}
        self._timeout_s = timeout_s
        self._runs: ParallelRuns[str, dict[str, Any]] = ParallelRuns(
            timeout_s=timeout_s, name="certificate of", clock=clock
        )

    def run(self, context: CheckContext) -> CheckResult:
        jobs: dict[str, Callable[[], dict[str, Any]]] = {
            name: partial(_certificate, each, self._timeout_s) for name, each in self._hosts.items()
        }
        answers = self._runs.run(jobs)
        hosts = {
            name: _reading(each, answers[name], context.now) for name, each in self._hosts.items()
        }
        status, summary = _verdict(hosts)
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary,
            at=context.now,
            data={"hosts": hosts},
        )


def _certificate(each: TlsHost, timeout_s: float) -> dict[str, Any]:
    trust = _trust(each.ca_file)
    with (
        socket.create_connection((each.host, each.port), timeout=timeout_s) as plain,
        trust.wrap_socket(plain, server_hostname=each.server_name or each.host) as secured,
    ):
        return dict(secured.getpeercert() or {})


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        trust = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadInputError(
            f"the ca_file {ca_file} can't be read as PEM certificates ({error}); name one that is",
            field="checks.tls",
        ) from error
    # Python 3.13 made it a default, and refuses what most clients take: many a house's own
    # authority leaves out an extension. What is asked is how long a certificate lasts.
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return trust


def _reading(each: TlsHost, answer: Answer[dict[str, Any]], now: datetime) -> dict[str, Any]:
    match answer.result:
        case Hanging():
            facts = _unread("no answer in time")
        case Raised(error=BadInputError() as error):
            raise error
        case Raised(error=ssl.SSLCertVerificationError() as error):
            facts = _untrusted(f"its certificate can't be verified: {error.verify_message}")
        case Raised(error=ssl.SSLError() as error):
            facts = _untrusted(f"the TLS handshake failed: {error.reason or error}")
        case Raised(error=error):
            facts = _unread(bounded(f"can't be reached: {error}", limit=300))
        case certificate:
            facts = _lasting(certificate, each.warn_days, now)
    return {**facts, "service": each.service} if each.service else facts


def _lasting(certificate: Mapping[str, Any], warn_days: float, now: datetime) -> dict[str, Any]:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (until - now).total_seconds() / _DAY_S
    problem = None
    if days < warn_days:
        problem = f"its certificate ends in {days:.1f} days (threshold {warn_days:g})"
    return {
        "verified": True,
        "days_left": round(days, 2),
        "not_after": format_at(until),
        "issuer": _words(certificate.get("issuer", ())),
        "status": (Health.DEGRADED if problem else Health.HEALTHY).value,
        "problem": problem,
    }


def _words(name: Sequence[Sequence[tuple[str, str]]]) -> str:
    return ", ".join(f"{key}={value}" for part in name for key, value in part)


def _untrusted(why: str) -> dict[str, Any]:
    return {"verified": False, "days_left": None, "status": Health.DOWN.value, "problem": why}


def _unread(why: str) -> dict[str, Any]:
    return {"verified": None, "days_left": None, "status": Health.UNKNOWN.value, "problem": why}


def _verdict(hosts: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
    found = {str(facts["status"]) for facts in hosts.values()}
    worst = next(
        (each for each in (Health.DOWN, Health.DEGRADED, Health.UNKNOWN) if each.value in found),
        Health.HEALTHY,
    )
    told = [f"{name}: {facts['problem']}" for name, facts in hosts.items() if facts["problem"]]
    if told:
        return worst, "; ".join(told)
    least = min(hosts, key=lambda name: float(hosts[name]["days_left"]))
    return worst, f"all {len(hosts)} hold, {least} ends first, in {hosts[least]['days_left']} days"
