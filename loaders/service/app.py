"""The web API as an application of its own, or as a router of a FastAPI site."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from loaders.extras import MissingExtraError, extra
from loaders.service.faults import ApiError, error_response, request_id_of
from loaders.service.guard import Guard
from loaders.service.routes import add_routes, route_class
from loaders.service.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from loaders.settings import Settings

_log = logging.getLogger("drivegrade.api")

DESCRIPTION: Final = """
All answers are JSON; quantities have their unit in the name or in the description, times are UTC.
A session that has no grades says so in `status`; a grade is never guessed.

Every answer has an `ETag`; send it back as `If-None-Match` and an unchanged answer is a 304
without a body. An answer is at most a second older than the database. Lists come in pages:
`limit` rows, and `cursor` for the next.

Errors are `{"error": {"code", "message", "request_id"}}`. A parameter that is not known is an
error.
"""


def router(settings: Settings) -> APIRouter:
    """Make the routes, for `site.include_router(router(settings))` in a FastAPI site.

    The site's own middleware sees to limits, hosts and origins; `loaders.service.guard.Guard` is
    ours. Connections are closed when the site ends.

    Args:
        settings: where PostgreSQL and Redis are.

    Raises:
        CacheError: REDIS_URL is malformed.
    """
    return routes_of(Service(settings))


def routes_of(service: Service) -> APIRouter:
    """Make the routes of a service, which ends with the site they stand in."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    routes = APIRouter(route_class=route_class(service), lifespan=lifespan, tags=["grades"])
    add_routes(routes, service)
    return routes


def create_app(settings: Settings) -> FastAPI:
    """Make the application that `drivegrade serve` serves.

    Args:
        settings: everything; nothing is connected to before the first request.

    Raises:
        CacheError: REDIS_URL is malformed.
    """
    app = FastAPI(
        title="Drive Grade",
        summary="Grades of Formula 1 drivers, from real timing data.",
        description=DESCRIPTION,
        version=version("drive-grade"),
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={StarletteHTTPException: _refused, Exception: _failed},
    )
    service = Service(settings)
    app.include_router(routes_of(service))
    if (pages := _pages(settings)) is not None:
        app.include_router(pages)
    app.state.service = service
    app.add_middleware(Guard, settings=settings)
    return app


def _pages(settings: Settings) -> APIRouter | None:
    """Make the routes of the reports; None if what draws them is not installed."""
    try:
        with extra("report"):
            from loaders.service import pages  # noqa: PLC0415 - of another extra
    except MissingExtraError as error:
        _log.warning("no reports are served: %s", error)
        return None
    return pages.router(settings)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what no route did."""
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    fault = ApiError(status, "unknown_path", "there is no such path; see /openapi.json")
    return error_response(fault, request_id_of(request.scope))


async def _failed(request: Request, _: Exception) -> Response:
    """Answer a fault of ours outside of the routes; the server notes it."""
    fault = ApiError(500, "internal", "something is wrong here; it has been noted")
    return error_response(fault, request_id_of(request.scope))
