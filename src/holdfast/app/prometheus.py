"""Connects an installation with the Prometheus-compatible engine that its settings name.

What it already knows of the past is taken over once, when `serve` starts, so that detection need
not wait for samples of its own; as far as that goes is as far as it is warm, and it is said.
"""

from collections.abc import Callable
from datetime import timedelta

import numpy as np

from holdfast.app.installation import Installation
from holdfast.kernel.catalogue import SignalKey
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError
from holdfast.sources import (
    LOOKBACK_INTERVALS,
    HistoryFile,
    Past,
    PrometheusClient,
    PrometheusQueries,
    PrometheusSettings,
    QueryError,
    Span,
    backfill_queries,
    read_past,
    tick_queries,
)

_BACKFILL_S = 15.0
_ANSWER_S = 5.0
_CONNECTIONS = 16
_NEARLY_WHOLE = 0.9


def prometheus_client(
    installation: Installation, *, timeout_s: float | None = None
) -> PrometheusClient | None:
    """Make a client of the engine, if there is one."""
    given = installation.config.prometheus
    if given is None:
        return None
    own_s = LOOKBACK_INTERVALS * installation.config.sampling_interval_s
    settings = PrometheusSettings(
        url=given.url,
        timeout_s=min(given.timeout_s, timeout_s or given.timeout_s),
        lookback_s=given.lookback_s or own_s,
        token=given.token,
        user=given.user,
        password=given.password,
        headers=given.headers,
        ca_file=str(installation.directory / given.ca_file) if given.ca_file else None,
    )
    return PrometheusClient(settings, connections=_CONNECTIONS)


def prometheus_queries(
    installation: Installation, clock: Clock, *, timeout_s: float
) -> PrometheusQueries | None:
    """Make the reader of the signals that are queries, if there are any."""
    if not any(True for _ in tick_queries(installation.catalogue)):
        return None
    client = prometheus_client(installation, timeout_s=timeout_s)
    if client is None:
        return None
    return PrometheusQueries(installation.catalogue, client, timeout_s=timeout_s, clock=clock)


def backfill(
    installation: Installation,
    history: HistoryFile,
    clock: Clock,
    tell: Callable[[str], None],
) -> None:
    """Take over what the engine has of the last window, and tell how far that went."""
    asked = tuple(backfill_queries(installation.catalogue))
    detection, interval_s = installation.config.detection, installation.config.sampling_interval_s
    # The first tick comes at once; the last moment of the past is one interval before it.
    end = clock.now() - timedelta(seconds=interval_s)
    span = Span(end=end, interval_s=interval_s, samples=detection.window)
    lacking = _lacking(history, span)
    asked = tuple(each for each in asked if each[0] in lacking)
    client = prometheus_client(installation, timeout_s=_ANSWER_S) if asked else None
    if client is None:
        return
    tell(f"asking Prometheus for the last {detection.window} samples of {len(asked)} series")
    try:
        client.number("1", clock.now())  # an engine that is away is not asked for each series
        past = read_past(asked, history.keys, client, span, timeout_s=_BACKFILL_S, clock=clock)
        history.merge(past.times, past.rows)
    except QueryError as error:
        tell(f"nothing was back-filled, detection warms up by itself: Prometheus {error.message}")
        return
    except BadInputError as error:
        tell(f"nothing was back-filled, detection warms up by itself: {error.message}")
        return
    finally:
        client.close()
    for text in _told(past, history, detection.min_samples):
        tell(text)


def _lacking(history: HistoryFile, span: Span) -> set[SignalKey]:
    """Find the series that have not been sampled here for nearly the whole span."""
    times, rows = history.rows()
    counts = np.isfinite(rows[times >= span.start.timestamp()]).sum(axis=0)
    wanted = _NEARLY_WHOLE * span.samples
    return {key for key, count in zip(history.keys, counts, strict=True) if count < wanted}


def _told(past: Past, history: HistoryFile, min_samples: int) -> list[str]:
    counts = np.isfinite(history.rows()[1]).sum(axis=0)
    warm, of = int((counts >= min_samples).sum()), len(history.keys)
    told = [f"warm: {warm} of {of} series, {past.filled} back-filled from Prometheus"]
    if past.failed:
        key, reason = next(iter(past.failed.items()))
        told.append(
            f"{len(past.failed)} series could not be back-filled and warm up by themselves; "
            f"{key}: Prometheus {reason}"
        )
    return told
