"""Reads every signal that is a query, once per tick, in parallel and bounded.

Each answer is that of the tick's own time, and rests on a fresh sample or is a gap. Why a series
is a gap is told with the row; an engine that does not answer is told apart, because that says
nothing about any service.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from holdfast.detection.exact import Floats
from holdfast.kernel.catalogue import Catalogue, SignalForm, SignalKey
from holdfast.kernel.clock import Clock
from holdfast.sources.crew import Crew, Round
from holdfast.sources.prometheus import (
    EngineError,
    PrometheusClient,
    QueryError,
    RefusedQueryError,
)
from holdfast.sources.promql import fresh, in_region

WORKERS_MAX = 16
# A sample that comes late by most of an interval is fresh, one from two intervals ago is not.
LOOKBACK_INTERVALS = 1.75


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRow:
    """One tick of answers. A series in `gaps` has no value, for the reason there."""

    values: Mapping[SignalKey, float] = field(default_factory=dict)
    gaps: Mapping[SignalKey, str] = field(default_factory=dict)
    engine: str | None = None


@dataclass(slots=True, kw_only=True)
class _Query:
    """One series and what is asked for it. Touched by one worker at a time."""

    key: SignalKey
    text: str
    asked: str


_Answer = float | QueryError


class PrometheusQueries:
    """The queries of a catalogue. One thread calls `start` and `finish`; `close` ends it."""

    def __init__(
        self, catalogue: Catalogue, client: PrometheusClient, *, timeout_s: float, clock: Clock
    ) -> None:
        self._client = client
        lookback_s = client.settings.lookback_s
        self._queries = [
            _Query(key=key, text=text, asked=fresh(text, lookback_s))
            for key, text in tick_queries(catalogue)
        ]
        self._late = EngineError(
            f"gave no answer within {timeout_s:g} s; check that it runs and is not overloaded"
        )
        self._crew: Crew[_Answer] = Crew(
            self._answer,
            size=len(self._queries),
            workers=WORKERS_MAX,
            timeout_s=timeout_s,
            name="query",
            clock=clock,
        )

    def start(self, at: datetime) -> Round[_Answer]:
        """Ask everything, as of `at`."""
        return self._crew.start(at)

    def finish(self, this: Round[_Answer]) -> QueryRow:
        """Wait until the time is up at most; give what was answered, and why the rest was not."""
        answers = self._crew.finish(this)
        values, gaps, engine = {}, {}, None
        for n, query in enumerate(self._queries):
            answer = answers.get(n, self._late)
            if isinstance(answer, EngineError):
                engine = engine or answer.message
            elif isinstance(answer, QueryError):
                gaps[query.key] = answer.message
            else:
                values[query.key] = answer
        return QueryRow(values=values, gaps=gaps, engine=engine)

    def close(self) -> None:
        """End the workers and let go of the connections."""
        self._crew.close()
        self._client.close()

    def _answer(self, index: int, this: Round[_Answer]) -> _Answer:
        query = self._queries[index]
        try:
            return _number(self._client, query, this.at)
        except QueryError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever the world sends is a reading
            return EngineError(f"answered what can't be read ({type(error).__name__}: {error})")


def _number(client: PrometheusClient, query: _Query, at: datetime) -> float:
    try:
        return client.number(query.asked, at)
    except RefusedQueryError:
        if query.asked == query.text:
            raise
    # What was put around it may not fit: a scalar, a dialect. Its own words decide then.
    value = client.number(query.text, at)
    query.asked = query.text
    return value


def tick_queries(catalogue: Catalogue) -> Iterator[tuple[SignalKey, str]]:
    """List every series that is read by a query, with the query for its region."""
    for service in catalogue.services.values():
        for name, spec in service.signals.items():
            if spec.form is SignalForm.QUERY:
                for region in service.regions:
                    key = SignalKey(service.name, region, name)
                    yield key, in_region(spec.metrics[0], region)


def backfill_queries(catalogue: Catalogue) -> Iterator[tuple[SignalKey, str]]:
    """List every series whose past an engine may have: the queries, and each `backfill`."""
    yield from tick_queries(catalogue)
    for service in catalogue.services.values():
        for name, spec in service.signals.items():
            if spec.backfill is not None:
                for region in service.scrape:
                    yield SignalKey(service.name, region, name), in_region(spec.backfill, region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What an engine had of the past: `rows` is (times, keys), NaN where it had nothing."""

    times: Floats
    rows: Floats
    filled: int
    failed: Mapping[SignalKey, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The moments that are wanted: `samples` of them, `interval_s` apart, the last at `end`."""

    end: datetime
    interval_s: float
    samples: int

    @property
    def start(self) -> datetime:
        return self.end - timedelta(seconds=self.interval_s * (self.samples - 1))

    def place(self, at_s: float) -> int:
        return round((at_s - self.start.timestamp()) / self.interval_s)


def read_past(
    asked: Sequence[tuple[SignalKey, str]],
    keys: Sequence[SignalKey],
    client: PrometheusClient,
    span: Span,
    *,
    timeout_s: float,
    clock: Clock,
) -> Past:
    """Read the past of these series, in parallel; what fails or comes late stays a gap."""
    lookback_s = client.settings.lookback_s

    def ask(index: int, _: Round[_PastAnswer]) -> _PastAnswer:
        try:
            return _numbers(client, asked[index][1], span, lookback_s)
        except QueryError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever the world sends is a reading
            return EngineError(f"answered what can't be read ({type(error).__name__}: {error})")

    crew: Crew[_PastAnswer] = Crew(
        ask,
        size=len(asked),
        workers=WORKERS_MAX,
        timeout_s=timeout_s,
        name="backfill",
        clock=clock,
    )
    answers = crew.finish(crew.start(clock.now()))
    crew.close(wait_s=0.0)
    return _laid_out(asked, keys, answers, span, timeout_s)


_PastAnswer = tuple[tuple[float, float], ...] | QueryError


def _numbers(
    client: PrometheusClient, text: str, span: Span, lookback_s: float
) -> tuple[tuple[float, float], ...]:
    framed = fresh(text, lookback_s)
    try:
        return client.numbers(framed, start=span.start, end=span.end, step_s=span.interval_s)
    except RefusedQueryError:
        if framed == text:
            raise
    return client.numbers(text, start=span.start, end=span.end, step_s=span.interval_s)


def _laid_out(
    asked: Sequence[tuple[SignalKey, str]],
    keys: Sequence[SignalKey],
    answers: Mapping[int, _PastAnswer],
    span: Span,
    timeout_s: float,
) -> Past:
    places = {key: n for n, key in enumerate(keys)}
    rows = np.full((span.samples, len(keys)), np.nan)
    failed, filled = {}, 0
    for n, (key, _) in enumerate(asked):
        answer = answers.get(n, EngineError(f"gave no answer within {timeout_s:g} s"))
        if isinstance(answer, QueryError):
            failed[key] = answer.message
            continue
        filled += 1
        for at_s, value in answer:
            place = span.place(at_s)
            if 0 <= place < span.samples:
                rows[place, places[key]] = value
    times = span.start.timestamp() + span.interval_s * np.arange(span.samples, dtype=np.float64)
    return Past(times=times, rows=rows, filled=filled, failed=failed)
