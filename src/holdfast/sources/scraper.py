"""Reads every target once per tick, in parallel; a failed scrape is a reading like any other.

A slow target costs nobody else anything: it has one scrape in flight at most, and when the
time is up its reading is "down" with the reason, whatever arrives later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx2
import numpy as np

from holdfast.detection import Deriver, Samples, selectors_of
from holdfast.detection.exact import Floats
from holdfast.kernel.catalogue import UP, Catalogue, SignalKey
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.sources.crew import Crew, Round
from holdfast.sources.openmetrics import BODY_BYTES_MAX, ScrapeError, parse_metrics
from holdfast.sources.prometheus_queries import PrometheusQueries, QueryRow

WORKERS_MAX = 64
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeFailed:
    """Why a target is down, as fact, value, next step."""

    service: str
    region: str
    url: str
    reason: str

    def __str__(self) -> str:
        return f"{self.service} in {self.region} ({self.url}) {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeRow:
    """One tick of readings, in the order of the scraper's keys; NaN is a gap.

    `gaps` says why a query gave no number, `engine` why Prometheus gave none at all.
    """

    at: datetime
    values: Floats
    failures: tuple[ScrapeFailed, ...]
    gaps: Mapping[SignalKey, str] = field(default_factory=dict)
    engine: str | None = None


@dataclass(slots=True, kw_only=True)
class _Target:
    """One endpoint of a service in a region. Touched by one worker at a time."""

    service: str
    region: str
    url: str
    deriver: Deriver
    wanted: frozenset[str]
    places: Mapping[str, int]


_Result = dict[str, float] | str


class Scraper:
    """The targets and queries of a catalogue. One thread calls `tick`; `close` ends the workers."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        timeout_s: float = 0.8,
        workers: int | None = None,
        clock: Clock | None = None,
        queries: PrometheusQueries | None = None,
    ) -> None:
        self.keys = catalogue.series()
        self._timeout_s = timeout_s
        self._late = f"gave no answer within {timeout_s:g} s; check that it runs and is not stuck"
        self._clock = clock or SystemClock()
        self._queries = queries
        self._places = {key: n for n, key in enumerate(self.keys)}
        self._targets = _targets(catalogue, self._places)
        self._crew: Crew[_Result] = Crew(
            self._answer,
            size=len(self._targets),
            workers=workers or WORKERS_MAX,
            timeout_s=timeout_s,
            name="scrape",
            clock=self._clock,
        )
        self._client = httpx2.Client(
            timeout=timeout_s,
            trust_env=False,
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=self._crew.workers
            ),
            headers={"Accept": ACCEPT, "Accept-Encoding": "identity", "User-Agent": "holdfast"},
        )

    def tick(self) -> ScrapeRow:
        """Scrape every target and ask every query; returns after `timeout_s` at the latest."""
        at = self._clock.now()
        asked = self._queries.start(at) if self._queries else None
        results = self._crew.finish(self._crew.start(at))
        told = self._queries.finish(asked) if self._queries and asked else QueryRow()
        return self._row(at, results, told)

    def close(self) -> None:
        """End the workers. One that hangs is a daemon and ends with the process."""
        self._crew.close()
        self._client.close()
        if self._queries is not None:
            self._queries.close()

    def _row(self, at: datetime, results: Mapping[int, _Result], told: QueryRow) -> ScrapeRow:
        values = np.full(len(self.keys), np.nan)
        failures = []
        for n, target in enumerate(self._targets):
            result = results.get(n, self._late)
            values[target.places[UP]] = float(not isinstance(result, str))
            if isinstance(result, str):
                failures.append(
                    ScrapeFailed(
                        service=target.service,
                        region=target.region,
                        url=target.url,
                        reason=result,
                    )
                )
            else:
                for signal, reading in result.items():
                    values[target.places[signal]] = reading
        for key, reading in told.values.items():
            values[self._places[key]] = reading
        return ScrapeRow(
            at=at,
            values=values,
            failures=tuple(failures),
            gaps=told.gaps,
            engine=told.engine,
        )

    # ------------------------------------------------------------------ workers
    def _answer(self, index: int, this: Round[_Result]) -> _Result:
        try:
            return self._scrape(self._targets[index], this.deadline)
        except ScrapeError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - whatever the world sends is a reading
            return self._words(error)

    def _scrape(self, target: _Target, deadline: float) -> dict[str, float]:
        samples, at_s = self._fetch(target, deadline)
        return target.deriver.observe(samples, at_s)

    def _fetch(self, target: _Target, deadline: float) -> tuple[Samples, float]:
        body = bytearray()
        with self._client.stream("GET", target.url) as answer:
            at_s = self._clock.monotonic()
            _check_head(answer)
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    break
                if self._clock.monotonic() > deadline:
                    raise ScrapeError(
                        f"had sent only {len(body):,} bytes after {self._timeout_s:g} s; "
                        "check that it is not stuck"
                    )
        content_type = answer.headers.get("content-type", "")
        return parse_metrics(bytes(body), content_type=content_type, wanted=target.wanted), at_s

    def _words(self, error: Exception) -> str:
        if isinstance(error, httpx2.TimeoutException):
            return self._late
        if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return f"has an address that can't be used ({error}); correct `scrape`"
        return f"can't be reached ({str(error) or type(error).__name__}); check that it runs"


def _check_head(answer: httpx2.Response) -> None:
    if answer.status_code != httpx2.codes.OK:
        raise ScrapeError(
            f"answered HTTP {answer.status_code}, not metrics; "
            "point `scrape` at the service's /metrics"
        )
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise ScrapeError(
            f"answered with the encoding {encoding!r}, which was not asked for; turn it off there"
        )


def _targets(catalogue: Catalogue, places: Mapping[SignalKey, int]) -> list[_Target]:
    return [
        _Target(
            service=service.name,
            region=region,
            url=url,
            deriver=Deriver(service.scraped),
            wanted=frozenset(
                selector.name
                for spec in service.scraped.values()
                for selector in selectors_of(spec)
            ),
            places={
                signal: places[SignalKey(service.name, region, signal)]
                for signal in (*service.scraped, UP)
            },
        )
        for service in catalogue.services.values()
        for region, url in service.scrape.items()
    ]
