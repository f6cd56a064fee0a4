"""The routes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast.api.intake import Intake, add_intake

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the routes answer from."""

    health: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], bytes]
    intake: Intake | None = None


def build_api(sources: Sources) -> FastAPI:
    """Make the application. No docs pages: nothing is served that isn't needed."""
    # A redirect would send a token on, to wherever the address in front of a proxy points.
    api = FastAPI(
        title="Holdfast", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    async def healthz(_request: Request) -> Response:
        health = dict(sources.health())
        return JSONResponse(health, status_code=200 if health["status"] == "ok" else 503)

    async def metrics(_request: Request) -> Response:
        return Response(sources.metrics(), media_type=METRICS_TYPE)

    api.add_route("/healthz", healthz, methods=["GET"])
    api.add_route("/metrics", metrics, methods=["GET"])
    if sources.intake is not None:
        add_intake(api, sources.intake)
    return api
