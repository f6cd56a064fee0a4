"""Looks at what is reached over HTTP: targets, health pages, Prometheus, where pages go.

A receiver of pages is only connected to, because to send it one would page somebody.
"""

import re
import socket
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import httpx2

from holdfast.app.addresses import is_loopback
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    counted,
    failed,
    fine,
    found,
    judge_clock,
    told,
)
from holdfast.app.prometheus import prometheus_client
from holdfast.detection import selectors_of
from holdfast.kernel.catalogue import Service
from holdfast.runbooks.durations import format_duration, parse_duration
from holdfast.sources import (
    PrometheusClient,
    QueryError,
    ScrapeError,
    parse_metrics,
    tick_queries,
)
from holdfast.sources.openmetrics import BODY_BYTES_MAX
from holdfast.sources.promql import fresh

_TARGETS, _PROMETHEUS, _OUTSIDE = "targets", "prometheus", "notifications"
_RANGE = re.compile(r"\[\s*(\d+(?:ms|[smh]))\s*[\]:]")
_OK = 200
_PORTS = {"http": 80, "https": 443}
_DATE_DOUBT_S = 1.0  # a Date header has whole seconds


def reach_probes(look: Look) -> Iterator[Probe]:
    """List what there is to reach."""
    installation, config = look.installation, look.installation.config
    asked = {key.service for key, _ in tick_queries(installation.catalogue)}
    for service in installation.catalogue.services.values():
        for region, url in service.scrape.items():
            what = f"metrics of {service.name} in {region}"
            yield _probe(_TARGETS, what, partial(_scrape, what, service, url, look))
        for region, url in service.health.items():
            what = f"health of {service.name} in {region}"
            yield _probe(_TARGETS, what, partial(_health, what, url, look))
        if not service.scrape and service.name not in asked:
            yield _probe(_TARGETS, service.name, partial(_unwatched, service.name))
    if not installation.catalogue.services:
        yield _probe(_TARGETS, "services", _nothing)
    if config.prometheus is not None:
        yield _probe(_PROMETHEUS, "Prometheus", partial(_prometheus, look))
    for what, address in (
        ("notify.webhook", config.notify.webhook),
        ("dead_man.url", config.dead_man.url if config.dead_man else None),
    ):
        if address is not None:
            yield _probe(_OUTSIDE, what, partial(_reached, what, address, look))


def _probe(area: str, what: str, look: Callable[[], Iterator[Finding]]) -> Probe:
    return Probe(area=area, what=what, look=look)


def reached(what: str, url: str, timeout_s: float) -> Finding:
    """Connect to the host of an address and say nothing to it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return failed(what, f"{host}:{port} can't be reached ({reason}); check host, port, network")
    plain = parts.scheme == "http" and not is_loopback(host)
    if plain:
        step = "use https: what is sent there can be read on the way"
        return found(what, Level.WARNING, f"{host}:{port} is reached without TLS", step)
    return fine(what, f"{host}:{port} can be connected to; nothing was sent")


def _reached(what: str, url: str, look: Look) -> Iterator[Finding]:
    yield reached(what, url, look.timeout_s)


def _nothing() -> Iterator[Finding]:
    step = "describe your services in services.yaml"
    yield found("services", Level.WARNING, "none is described, so nothing is watched", step)


def _unwatched(name: str) -> Iterator[Finding]:
    yield told(name, "has neither a scrape target nor a query: known, and not measured")


def _scrape(what: str, service: Service, url: str, look: Look) -> Iterator[Finding]:
    body, kind = _page(url, look, "`scrape`")
    try:
        samples = parse_metrics(body, content_type=kind)
    except ScrapeError as error:
        yield failed(what, error.message)
        return
    yield fine(what, f"answers, {counted(len(samples), 'sample')}")
    for name, spec in service.scraped.items():
        for selector in selectors_of(spec):
            if not selector.pick(samples):
                yield found(
                    what,
                    Level.WARNING,
                    f"{name} reads {selector.name}, and no sample there fits",
                    f"correct services.yaml ({service.name}, metrics.{name}), unless it appears "
                    "later, as a counter of failures may",
                )


def _health(what: str, url: str, look: Look) -> Iterator[Finding]:
    _page(url, look, "`health`")
    yield fine(what, "answers")


def _page(url: str, look: Look, field: str) -> tuple[bytes, str]:
    """Read a page. Raises QueryError with the reason."""
    body = bytearray()
    try:
        with (
            httpx2.Client(timeout=look.timeout_s, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    break
    except httpx2.TimeoutException:
        raise QueryError(
            f"gave no answer within {look.timeout_s:g} s; check that it is not stuck"
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise QueryError(
            f"can't be reached ({str(error) or type(error).__name__}); check that it runs, and "
            f"{field}"
        ) from None
    if answer.status_code != _OK:
        raise QueryError(f"answered HTTP {answer.status_code}; check {field}")
    return bytes(body), answer.headers.get("content-type", "")


def _prometheus(look: Look) -> Iterator[Finding]:
    client = prometheus_client(look.installation, timeout_s=look.timeout_s)
    if client is None:
        return
    try:
        yield from _engine(client, look)
    finally:
        client.close()


def _engine(client: PrometheusClient, look: Look) -> Iterator[Finding]:
    before = look.clock.monotonic()
    facts = client.facts()
    took_s = look.clock.monotonic() - before
    yield fine("Prometheus", f"answers, version {facts.version or 'not told'}")
    if facts.at is not None:
        skew_s = (facts.at - look.clock.now()).total_seconds()
        yield judge_clock("Prometheus", skew_s, took_s + _DATE_DOUBT_S)
    ends = look.clock.monotonic() + look.timeout_s
    answered = 0
    queries = tuple(tick_queries(look.installation.catalogue))
    for key, query in queries:
        if look.clock.monotonic() > ends:
            yield told("queries", f"{len(queries)} of them; only the first were asked, for time")
            break
        try:
            client.number(fresh(query, client.settings.lookback_s), look.clock.now())
            answered += 1
        except QueryError as error:
            yield failed(str(key), f"has no reading: {error.message}", Level.WARNING)
    if queries:
        yield fine("queries", f"{answered} of {len(queries)} answer one number")
    sustain_s = look.installation.config.verification.sustain_s
    for query in dict.fromkeys(text for _, text in queries):
        yield from judge_range(query, sustain_s)


def judge_range(query: str, sustain_s: float) -> Iterator[Finding]:
    """Judge how far back a query looks: longer than recovery is watched, it tells of before."""
    for text in _RANGE.findall(query):
        if parse_duration(text) > sustain_s:
            yield found(
                "queries",
                Level.WARNING,
                f"{query} looks {text} back, and recovery is watched for "
                f"{format_duration(sustain_s)}: what was before a step is still in it",
                "use a shorter range, or raise verification.sustain_s",
            )
            return
