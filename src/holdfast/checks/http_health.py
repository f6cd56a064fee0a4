"""Says whether the services in question answer their health URL.

One request an instance, all at once, no redirects (a login page is not health),
and a wall-clock limit: a server that dribbles a byte a second is not healthy.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from holdfast.checks.parallel import Answer, Hanging, ParallelRuns, Raised
from holdfast.kernel.catalogue import Catalogue, instance_name
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.redact import bounded
from holdfast.response.ports import CheckContext, CheckResult, Health

BODY_BYTES_MAX = 64 * 1024
SERVER_ERRORS = 500
NOT_OK = 300


class HttpHealth:
    """Down if an instance doesn't answer or says 5xx; degraded for other codes than 2xx."""

    name = "http_health"

    def __init__(
        self, catalogue: Catalogue, *, timeout_s: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._catalogue = catalogue
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._runs: ParallelRuns[str, dict[str, Any]] = ParallelRuns(
            timeout_s=timeout_s, name="health of", clock=self._clock
        )

    def run(self, context: CheckContext) -> CheckResult:
        jobs: dict[str, Callable[[], dict[str, Any]]] = {
            instance: partial(self._get, url)
            for instance, url in self._urls(context.services).items()
        }
        instances = {name: self._reading(a) for name, a in self._runs.run(jobs).items()}
        status, summary = _verdict(instances)
        return CheckResult(
            name=self.name,
            status=status,
            summary=summary,
            at=context.now,
            data={"instances": instances},
        )

    def _urls(self, services: tuple[str, ...]) -> dict[str, str]:
        known = (self._catalogue.services[n] for n in services if n in self._catalogue.services)
        return {
            instance_name(service.name, region): url
            for service in known
            for region, url in service.health.items()
        }

    def _get(self, url: str) -> dict[str, Any]:
        import httpx2  # noqa: PLC0415 - half of a command's start-up time

        started = self._clock.monotonic()
        # No proxy: a health URL is asked directly, or the answer is about the proxy. Without TLS
        # there are no certificates to load, which costs more than the request itself.
        tls = url.startswith("https:")
        with (
            httpx2.Client(timeout=self._timeout_s, trust_env=False, verify=tls) as client,
            client.stream("GET", url, follow_redirects=False) as response,
        ):
            self._drain(response.iter_bytes(), started)
            code = response.status_code
        return {"code": code, "ms": round((self._clock.monotonic() - started) * 1000, 1)}

    def _drain(self, chunks: Iterator[bytes], started: float) -> None:
        """Read to the end of the body, so that a torn answer shows, but not more than is sane."""
        read = 0
        for chunk in chunks:
            read += len(chunk)
            if self._clock.monotonic() - started > self._timeout_s:
                raise TimeoutError(f"the answer was not complete within {self._timeout_s:g} s")
            if read > BODY_BYTES_MAX:
                return

    def _reading(self, answer: Answer[dict[str, Any]]) -> dict[str, Any]:
        match answer.result:
            case Hanging():
                error = f"no answer within {self._timeout_s:g} s"
                return {"code": None, "ms": None, "error": error}
            case Raised(error=problem):
                error = bounded(f"{type(problem).__name__}: {problem}", limit=300)
                return {"code": None, "ms": None, "error": error}
            case reading:
                return reading


def _verdict(instances: Mapping[str, Mapping[str, Any]]) -> tuple[Health, str]:
    if not instances:
        return Health.UNKNOWN, "no service in question has a health URL"
    dead = [
        f"{name}: {i.get('error') or 'answered ' + str(i['code'])}"
        for name, i in instances.items()
        if i["code"] is None or i["code"] >= SERVER_ERRORS
    ]
    odd = [
        f"{name}: answered {i['code']}, not 2xx"
        for name, i in instances.items()
        if i["code"] is not None and NOT_OK <= i["code"] < SERVER_ERRORS
    ]
    if dead:
        return Health.DOWN, "; ".join([*dead, *odd])
    if odd:
        return Health.DEGRADED, "; ".join(odd)
    slowest = max(i["ms"] for i in instances.values())
    return Health.HEALTHY, f"all {len(instances)} answer, the slowest in {slowest:g} ms"
