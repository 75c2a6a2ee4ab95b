"""The routes of the API: what may be asked, and who answers.

Annotations are evaluated here, for FastAPI reads them.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from engine.tables import SessionKey
from loaders.service import lists, sessions
from loaders.service.answer_models import (
    Alive,
    Analytics,
    DriverGrades,
    ErrorAnswer,
    Races,
    Readiness,
    SessionGrades,
    Standings,
    Strategy,
)
from loaders.service.faults import (
    NO_STORE,
    RETRY_AFTER_S,
    ApiError,
    error_response,
    refused,
    request_id_of,
)
from loaders.service.health import readiness
from loaders.service.questions import (
    DriverId,
    NoParameters,
    OfDriver,
    OfDrivers,
    OfSeason,
    OfSession,
    Paged,
    Round,
    Season,
)

if TYPE_CHECKING:
    from loaders.connection import Connection
    from loaders.service.memo import Encoded
    from loaders.service.service import Service

_log = logging.getLogger("drivegrade.api")

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorAnswer, "description": "a body, or a host that the service is not"},
    404: {"model": ErrorAnswer, "description": "not stored, and not in the calendar"},
    414: {"model": ErrorAnswer, "description": "an address of more than 2 kB"},
    422: {"model": ErrorAnswer, "description": "a parameter breaks a rule, or is not known"},
    429: {"model": ErrorAnswer, "description": "too many requests; Retry-After says when"},
    503: {"model": ErrorAnswer, "description": "cannot answer now; Retry-After says when"},
}


def route_class(service: "Service") -> type[APIRoute]:
    """Make the class of a service's routes.

    What was answered to the same address a moment ago is answered without reading its parameters
    again; and errors are ours, in whichever site the routes stand.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Response:
                known = service.memo.at(address(request))
                if known is not None:
                    return answered(request, known)
                return await _told(inner, request)

            return handler

    return Route


async def _told(
    inner: Callable[[Request], Coroutine[Any, Any, Response]], request: Request
) -> Response:
    """Answer a request, or tell what is wrong with it."""
    try:
        return await inner(request)
    except ApiError as error:
        fault = error
    except RequestValidationError as error:
        fault = refused((each["loc"], each["msg"]) for each in error.errors())
    except Exception:  # noqa: BLE001 - a fault of ours is told without what it is
        _log.exception("request %s failed", request_id_of(request.scope))
        fault = ApiError(500, "internal", "something is wrong here; it has been noted")
    return error_response(fault, request_id_of(request.scope))


def address(request: Request) -> str:
    """Give the path and query of a request, as they were sent."""
    return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"


async def ask(
    request: Request,
    service: "Service",
    name: tuple[Any, ...],
    compute: "Callable[[Connection], Encoded]",
) -> Response:
    """Answer a question, kept or computed.

    Args:
        request: with which it is asked.
        service: who answers.
        name: the question with all its parameters.
        compute: answers it.
    """
    answer = await service.memo.get(name, compute)
    service.memo.remember(address(request), name)
    return answered(request, answer)


def answered(request: Request, answer: "Encoded") -> Response:
    """Send an answer, or say that the caller has it already."""
    headers = {"etag": answer.etag, "cache-control": "no-cache"}
    known = request.headers.get("if-none-match")
    if known is not None and _names(known, answer.etag):
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=answer.media_type, headers=headers)


def _names(known: str, etag: str) -> bool:
    """Tell whether If-None-Match names an answer; a weak name of it is one too."""
    names = (name.strip().removeprefix("W/") for name in known.split(","))
    return known.strip() == "*" or etag in names


def add_routes(routes: APIRouter, service: "Service") -> None:
    """Add all that the API answers."""
    _add_sessions(routes, service)
    _add_lists(routes, service)
    _add_health(routes, service)


def _add_sessions(routes: APIRouter, service: "Service") -> None:
    """Add what is asked about one session."""

    @routes.get(
        "/api/v1/analytics/{season}/{round}",
        summary="All about a session: laps, stints and grades",
        response_model=Analytics,
        responses=ERRORS,
    )
    async def analytics(
        request: Request, season: Season, round_number: Round, asked: Annotated[OfDrivers, Query()]
    ) -> Response:
        """A session without grades says so in `status`; a grade is never guessed."""
        key = SessionKey(season, round_number, asked.session)
        drivers = tuple(sorted({name.lower() for name in asked.drivers}))
        return await ask(
            request,
            service,
            ("analytics", key, asked.profile, drivers),
            lambda connection: sessions.analytics(
                connection, service.cache, key, profile=asked.profile, drivers=drivers
            ),
        )

    @routes.get(
        "/api/v1/races/{season}/{round}/grades",
        summary="The grades of a session",
        response_model=SessionGrades,
        responses=ERRORS,
    )
    async def grades(
        request: Request, season: Season, round_number: Round, asked: Annotated[OfSession, Query()]
    ) -> Response:
        """As in analytics, without laps and stints."""
        key = SessionKey(season, round_number, asked.session)
        return await ask(
            request,
            service,
            ("grades", key, asked.profile),
            lambda connection: lists.session_grades(connection, key, asked.profile),
        )

    @routes.get(
        "/api/v1/strategy/{season}/{round}",
        summary="The stops of a session against the field's",
        response_model=Strategy,
        responses=ERRORS,
    )
    async def strategy(
        request: Request, season: Season, round_number: Round, asked: Annotated[OfSession, Query()]
    ) -> Response:
        """Stints, and every visit to the pit lane with what it cost."""
        key = SessionKey(season, round_number, asked.session)
        return await ask(
            request,
            service,
            ("strategy", key, asked.profile),
            lambda connection: lists.strategy(connection, key, asked.profile),
        )


def _add_lists(routes: APIRouter, service: "Service") -> None:
    """Add what is asked about many sessions."""

    @routes.get(
        "/api/v1/races",
        summary="All sessions, stored or in the calendar",
        response_model=Races,
        responses=ERRORS,
    )
    async def races(request: Request, asked: Annotated[Paged, Query()]) -> Response:
        """The last one first; `next_cursor` leads to the next page."""
        return await ask(
            request,
            service,
            ("races", asked.season, asked.limit, asked.cursor),
            lambda connection: lists.races(connection, asked),
        )

    @routes.get(
        "/api/v1/drivers/{driver_id}/grades",
        summary="A driver's grades over the years",
        response_model=DriverGrades,
        responses=ERRORS,
    )
    async def driver_grades(
        request: Request, driver_id: DriverId, asked: Annotated[OfDriver, Query()]
    ) -> Response:
        """The last session first; `next_cursor` leads to the next page."""
        return await ask(
            request,
            service,
            ("driver", driver_id, asked.season, asked.profile, asked.limit, asked.cursor),
            lambda connection: lists.driver_grades(connection, driver_id, asked),
        )

    @routes.get(
        "/api/v1/standings/{season}",
        summary="A season by its grades",
        response_model=Standings,
        responses=ERRORS,
    )
    async def standings(
        request: Request, season: Season, asked: Annotated[OfSeason, Query()]
    ) -> Response:
        """Means over the drives of a season, of drivers or of constructors."""
        return await ask(
            request,
            service,
            ("standings", season, asked.session, asked.of, asked.profile),
            lambda connection: lists.standings(connection, season, asked),
        )


def _add_health(routes: APIRouter, service: "Service") -> None:
    """Add what those ask who watch the service."""

    @routes.get(
        "/healthz",
        summary="Does the process answer?",
        response_model=Alive,
        responses={422: ERRORS[422]},
    )
    async def healthz(_asked: Annotated[NoParameters, Query()]) -> Response:
        """It asks nothing of the database."""
        return Response(b'{"status":"ok"}', media_type="application/json", headers=NO_STORE)

    @routes.get(
        "/readyz",
        summary="Can it answer questions?",
        response_model=Readiness,
        responses={
            422: ERRORS[422],
            503: {"model": Readiness, "description": "it cannot; the reasons by name"},
        },
    )
    async def readyz(_asked: Annotated[NoParameters, Query()]) -> Response:
        """The database answers and has its schema."""
        is_ready, told = await readiness(service)
        return Response(
            told,
            status_code=200 if is_ready else 503,
            media_type="application/json",
            headers=NO_STORE if is_ready else NO_STORE | {"retry-after": str(RETRY_AFTER_S)},
        )
