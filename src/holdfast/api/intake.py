"""The intake: what other programs tell Holdfast, over HTTP.

A 2xx is sent after the durable write and never before. Whoever sends is told to
come back (503) when there is no room or the store is away: Alertmanager tries
again on 5xx only, so nothing here answers 429. Work is done in threads, a few
at once, so that the pages stay quick.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from holdfast.api.reading import read_json
from holdfast.kernel.errors import (
    BadInputError,
    HoldfastError,
    LedgerUnavailableError,
    RefusedError,
)
from holdfast.kernel.redact import bounded

BODY_MAX = 1_048_576
IN_FLIGHT_MAX = 8
BODY_WITHIN_S = 10.0
RETRY_AFTER_S = 5
_SCHEME = "bearer "
_DIGITS_MAX = 18


class UnknownCallerError(RefusedError):
    """Nobody knows who asks: no token, a wrong one, one that has ended."""


class UnavailableError(HoldfastError):
    """It can't be taken in now; the same request may be sent again."""


class _TooLargeError(HoldfastError):
    """The body is larger than anything that is sent on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a request whose every part is durable: the answer's body and its status."""

    body: Mapping[str, Any]
    created: bool = False


class Intake(Protocol):
    """What the routes hand over to. Blocking; called from several threads."""

    def admit(self, token: str | None, what: str) -> None:
        """Let this caller in. Raises UnknownCallerError, RefusedError, LedgerUnavailableError."""
        ...

    def alerts(self, document: object) -> Taken:
        """Take in the body of an alert webhook. Raises BadInputError, UnavailableError too."""
        ...

    def changes(self, document: object) -> Taken:
        """Take in one change or several."""
        ...

    def rejected(self, why: str, *, ours: bool) -> None:
        """Count a request that nothing was taken of; `ours` is a fault of Holdfast itself."""
        ...


def add_intake(api: FastAPI, intake: Intake) -> None:
    """Add the intake's routes."""
    door = _Door(intake)
    routes: Sequence[tuple[str, str, Callable[[object], Taken]]] = (
        ("/v1/intake/alertmanager", "alerts", intake.alerts),
        ("/v1/intake/changes", "changes", intake.changes),
    )
    for path, what, work in routes:
        api.add_route(path, door.route(what, work), methods=["POST"])


class _Door:
    """Lets a few requests in at once. Touched by the event loop's thread alone."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._inside = 0

    def route(self, what: str, work: Callable[[object], Taken]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            if self._inside >= IN_FLIGHT_MAX:
                return self._refusal(
                    UnavailableError(
                        f"{IN_FLIGHT_MAX} requests are being taken in, and there is no room for "
                        "more; send it again"
                    )
                )
            self._inside += 1
            try:
                return await self._taken(request, what, work)
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:  # noqa: BLE001 - a surface: the sender gets an answer
                return self._refusal(error)
            finally:
                self._inside -= 1

        return answer

    async def _taken(
        self, request: Request, what: str, work: Callable[[object], Taken]
    ) -> Response:
        await run_in_threadpool(self._intake.admit, _token(request), what)
        async with asyncio.timeout(BODY_WITHIN_S):
            body = await _body(request)
        taken = await run_in_threadpool(lambda: work(read_json(body)))
        return JSONResponse(dict(taken.body), status_code=201 if taken.created else 200)

    def _refusal(self, error: Exception) -> Response:
        status, text = _told(error)
        ours = status == 500  # noqa: PLR2004 - an HTTP status
        why = bounded(f"{type(error).__name__}: {error}") if ours else text
        self._intake.rejected(why, ours=ours)
        field = error.field if isinstance(error, BadInputError) else None
        headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None  # noqa: PLR2004
        if status == 401:  # noqa: PLR2004 - an HTTP status
            headers = {"WWW-Authenticate": "Bearer"}
        document = {"error": {"field": field, "text": text}}
        return JSONResponse(document, status_code=status, headers=headers)


def _told(error: Exception) -> tuple[int, str]:
    """Give the status of an error, and what the sender is told."""
    match error:
        case UnknownCallerError():
            return 401, error.message
        case RefusedError():
            return 403, error.message
        case BadInputError():
            return 400, error.message
        case TimeoutError():
            return 408, f"the body did not come within {BODY_WITHIN_S:.0f} s; send it again"
        case _TooLargeError():
            return 413, error.message
        case LedgerUnavailableError() | UnavailableError():
            return 503, error.message
        case _:
            return 500, "Holdfast failed on this; nothing is promised of it, send it again"


def _token(request: Request) -> str | None:
    header = request.headers.get("authorization", "")
    return header[len(_SCHEME) :] if header.lower().startswith(_SCHEME) else None


async def _body(request: Request) -> bytes:
    """Read the body, and no more of it than there may be."""
    too_large = _TooLargeError(f"the body has more than {BODY_MAX} bytes; send it in parts")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > _DIGITS_MAX or int(announced) > BODY_MAX):
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_MAX:
            raise too_large
    return bytes(body)
