"""Asks a Prometheus-compatible engine (Prometheus, Thanos, Mimir, VictoriaMetrics) for one number.

A query that answers anything but one number is a gap with a reason. An answer that the engine
itself calls partial is refused: half of a sum looks like an outage. An engine that doesn't answer
is trouble of ours and says nothing about a service. Whatever it sends takes so much room and time
and no more.
"""

import json
import math
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import bounded

BODY_BYTES_MAX = 5_000_000
_URL_CHARACTERS_MAX = 2000
_SHOWN_MAX = 200
# Thanos and VictoriaMetrics would leave out a store that is away; the others ignore these.
_WHOLE_OR_NOTHING = {"partial_response": "false", "deny_partial_response": "1"}
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE = (
    200, 400, 401, 403, 404, 422,
)  # fmt: skip


class QueryError(HoldfastError):
    """A query has no number as its answer. The message says why and what to do."""


class RefusedQueryError(QueryError):
    """The engine understood us and would not carry out the query."""


class EngineError(QueryError):
    """The engine itself gives no answers now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """Where the engine is and who asks. `lookback_s`: an older sample is none."""

    url: str = field(repr=False)
    timeout_s: float
    lookback_s: float
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself. `at` is its clock, to the second, None where it says none."""

    version: str | None
    at: datetime | None


class PrometheusClient:
    """One engine. Thread-safe."""

    def __init__(
        self, settings: PrometheusSettings, *, connections: int = 1, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        # What is packed may be a thousand times as large once it is unpacked.
        headers = {"User-Agent": "holdfast", "Accept-Encoding": "identity", **settings.headers}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token}"
        auth = None
        if settings.user is not None:
            auth = httpx2.BasicAuth(settings.user, settings.password or "")
        self._client = httpx2.Client(
            timeout=settings.timeout_s,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=connections),
            headers=headers,
            auth=auth,
            verify=_verified_by(settings.ca_file),
        )

    def number(self, query: str, at: datetime) -> float:
        """Answer a query at one moment; NaN where it answers no finite number.

        Raises QueryError and EngineError.
        """
        kind, result = self._at(query, at)
        return _finite(result if kind == "scalar" else self._only(result).get("value"))

    def series(self, query: str, at: datetime) -> tuple[tuple[Mapping[str, str], float], ...]:
        """Answer a query at one moment with all its series: labels and value.

        Raises QueryError and EngineError.
        """
        kind, result = self._at(query, at)
        if kind == "scalar":
            return (({}, _finite(result)),)
        try:
            return tuple((dict(each["metric"]), _finite(each["value"])) for each in result)
        except (TypeError, ValueError, KeyError):
            raise QueryError("answered series that have no labels or no value") from None

    def numbers(
        self, query: str, *, start: datetime, end: datetime, step_s: float
    ) -> tuple[tuple[float, float], ...]:
        """Answer a query at every step: (epoch seconds, value), oldest first, gaps left out.

        Raises QueryError and EngineError.
        """
        answer = self._ask(
            "query_range",
            {
                "query": query,
                "start": f"{start.timestamp():.3f}",
                "end": f"{end.timestamp():.3f}",
                "step": f"{step_s:g}",
            },
        )
        result = answer.get("result")
        if answer.get("resultType") != "matrix" or not isinstance(result, list):
            raise QueryError("answered no series; write a query that answers a number")
        return _samples(self._only(result).get("values"))

    def facts(self) -> EngineFacts:
        """Ask the engine what it is and what time it has. Raises EngineError."""
        answer, body = self._get("query", {"query": "1"})
        self._data(answer, body)
        version = None
        try:
            told, body = self._get("status/buildinfo", {})
            if told.status_code == _OK:
                version = str(json.loads(body)["data"]["version"])
        except (QueryError, ValueError, KeyError, TypeError, RecursionError):
            pass  # not every engine tells
        return EngineFacts(version=version, at=_date(answer.headers.get("date")))

    def close(self) -> None:
        self._client.close()

    def _only(self, result: Sequence[Any]) -> Mapping[str, Any]:
        if not result:
            raise QueryError(
                f"answered no series with a fresh sample (of the last {self.settings.lookback_s:g} "
                "s); check its labels, that what it reads is still scraped and how often, and "
                "prometheus.lookback_s"
            )
        if len(result) > 1:
            raise QueryError(
                f"answered {len(result)} series; aggregate it to one, such as sum(...)"
            )
        only = result[0]
        if not isinstance(only, dict) or not {"value", "values"} & only.keys():
            raise QueryError(
                "answered a histogram; make it a number, such as histogram_quantile(...)"
            )
        return only

    # ------------------------------------------------------------------ asking
    def _at(self, query: str, at: datetime) -> tuple[str, Any]:
        answer = self._ask("query", {"query": query, "time": f"{at.timestamp():.3f}"})
        kind, result = answer.get("resultType"), answer.get("result")
        if kind != "scalar" and (kind != "vector" or not isinstance(result, list)):
            raise QueryError(f"answered a {kind}, not a number; aggregate it to one")
        return str(kind), result

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        answer, body = self._get(
            path,
            {
                **parameters,
                **_WHOLE_OR_NOTHING,
                "timeout": _duration(self.settings.timeout_s),
                # Where an engine takes it, a single series that ended is gone as quickly.
                "lookback_delta": _duration(self.settings.lookback_s),
            },
        )
        return self._data(answer, body)

    def _get(self, path: str, parameters: Mapping[str, str]) -> tuple[httpx2.Response, bytes]:
        url = f"{self.settings.url.rstrip('/')}/api/v1/{path}"
        long = sum(map(len, parameters.values())) > _URL_CHARACTERS_MAX
        given = {"data": dict(parameters)} if long else {"params": dict(parameters)}
        body, until = bytearray(), self._clock.monotonic() + self.settings.timeout_s
        try:
            with self._client.stream("POST" if long else "GET", url, **given) as answer:  # type: ignore[arg-type]
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise EngineError("packed its answer, unasked; turn that off there")
                for chunk in answer.iter_raw():
                    body += chunk
                    if self._clock.monotonic() > until:
                        raise httpx2.ReadTimeout("byte by byte")
                    if len(body) > BODY_BYTES_MAX:
                        raise QueryError(
                            f"answered more than {BODY_BYTES_MAX // 1_000_000} MB; "
                            "aggregate it to one number"
                        )
        except httpx2.TimeoutException:
            raise EngineError(
                f"gave no answer within {self.settings.timeout_s:g} s; check that it runs and is "
                "not overloaded"
            ) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise EngineError(
                f"has an address that can't be used ({bounded(str(error))}); correct prometheus.url"
            ) from None
        except httpx2.HTTPError as error:
            words = _shown(str(error) or type(error).__name__)
            raise EngineError(f"can't be reached ({words}); check that it runs") from None
        return answer, bytes(body)

    def _data(self, answer: httpx2.Response, body: bytes) -> Mapping[str, Any]:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        said = said if isinstance(said, dict) else {}
        code = answer.status_code
        if code in {_UNAUTHORIZED, _FORBIDDEN}:
            raise EngineError(
                f"refused us (HTTP {code}); check token, user and password under `prometheus`"
            )
        if said.get("status") == "error" and code in {_BAD_REQUEST, _UNPROCESSABLE}:
            words = _shown(said.get("error", ""))
            raise RefusedQueryError(f"refused the query ({words}); correct it")
        if code != _OK or said.get("status") != "success":
            raise EngineError(_no_answer(code, said))
        if said.get("isPartial"):
            raise QueryError("answered only a part of the data; check the engine's stores")
        data = said.get("data")
        return data if isinstance(data, dict) else {}


def _shown(words: object) -> str:
    """Give somebody else's words without secrets and without what steers a terminal."""
    clean = bounded(str(words), limit=_SHOWN_MAX)
    return "".join(letter if letter.isprintable() else " " for letter in clean)


def _duration(seconds: float) -> str:
    """Write a length of time as every engine reads it: whole milliseconds."""
    return f"{seconds * 1000:.0f}ms"


def _no_answer(code: int, said: Mapping[str, Any]) -> str:
    if said.get("error"):
        words = _shown(said["error"])
        return f"answered HTTP {code} ({words}); look at the engine's own log"
    if code in {_OK, _NOT_FOUND}:
        return (
            f"answered HTTP {code} and nothing that Prometheus would; point prometheus.url at the "
            "part of the address before /api/v1"
        )
    return f"answered HTTP {code}; look at the engine's own log"


def _samples(pairs: Any) -> tuple[tuple[float, float], ...]:  # noqa: ANN401 - as it was written
    """Read the samples of a range, those that are no finite number left out."""
    try:
        read = [(float(at), float(text)) for at, text in pairs]
    except (TypeError, ValueError, OverflowError):
        raise QueryError("answered something that is no number; aggregate it to one") from None
    return tuple((at, value) for at, value in read if math.isfinite(at) and math.isfinite(value))


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None


def _finite(pair: Any) -> float:  # noqa: ANN401 - as the engine wrote it
    """Read `[at, "text"]`; NaN for a text such as "NaN" or "+Inf"."""
    try:
        value = float(pair[1])
    except (TypeError, ValueError, LookupError, OverflowError):
        raise QueryError("answered something that is no number; aggregate it to one") from None
    return value if math.isfinite(value) else math.nan


def _verified_by(ca_file: str | None) -> Any:  # noqa: ANN401 - True, or a context
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BadInputError(
            f"prometheus.ca_file {ca_file} can't be read ({error.strerror or error}); "
            "name a PEM file",
            field="prometheus.ca_file",
        ) from None
