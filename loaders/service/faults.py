"""What a caller is told when something is wrong: a code, a sentence, and the request's id.

Never SQL, a path, a host or a trace.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

RETRY_AFTER_S: Final = 5
"""What a caller is asked to wait when the service cannot answer, s."""

NO_STORE: Final = {"cache-control": "no-store"}


class ApiError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        code: name of the error, which does not change.
        message: for a person.
        headers: of the answer, beside those that every error has.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def not_found(what: str, message: str) -> ApiError:
    """Make the error of something that is not stored: 404, `unknown_{what}`."""
    return ApiError(404, f"unknown_{what}", message)


def unavailable(code: str, message: str) -> ApiError:
    """Make the error of a service that cannot answer now: 503 with Retry-After."""
    return ApiError(503, code, message, {"retry-after": str(RETRY_AFTER_S)})


def refused(faults: Iterable[tuple[Iterable[object], str]]) -> ApiError:
    """Make the error of parameters that break a rule: 422.

    Args:
        faults: where ("query", "limit") and what, by parameter.
    """
    told = "; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in faults)
    return ApiError(422, "invalid_request", told[:1000])


def error_response(error: ApiError, request_id: str) -> Response:
    """Write an error as JSON."""
    told = {"code": error.code, "message": error.message, "request_id": request_id}
    return Response(
        json.dumps({"error": told}, ensure_ascii=False).encode(errors="replace"),
        status_code=error.status,
        media_type="application/json",
        headers=NO_STORE | error.headers,
    )


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """Give the id of a request: the guard's, or a new one in a site without it."""
    return str(scope.setdefault("drivegrade.request_id", secrets.token_hex(8)))
