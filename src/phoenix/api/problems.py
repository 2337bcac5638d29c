"""Our error tree as RFC 9457 problem documents, in one table.

Every body also carries `error.code`, `error.message` and `request_id`, and `remedy` where there is
one. Framing errors keep their own HTTP code.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from phoenix.base.errors import (
    Conflict,
    Denied,
    Invalid,
    NotFound,
    PhoenixError,
    Tampered,
    Throttled,
    Unavailable,
)

# What each category is at this door.
STATUS: dict[type[PhoenixError], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    Denied: 403,
    Throttled: 429,
    Unavailable: 503,
    Tampered: 500,
}


_SCHEMA = "GET /openapi.json names the routes and their fields."
_ENDS_CONNECTION = (408, 413, 414, 431)


class Malformed(Invalid):
    """The request is not what HTTP or JSON says it is."""

    def __init__(self, status: int, code: str, message: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.problem_code = code


def status_of(error: PhoenixError) -> int:
    """The HTTP status of the error's category."""
    if isinstance(error, Malformed):
        return error.status
    return next((code for category, code in STATUS.items() if isinstance(error, category)), 500)


def problem(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    remedy: str | None = None,
    errors: list[dict[str, str]] | None = None,
    retry_after_s: float | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A problem document (RFC 9457) with our additions."""
    request_id = getattr(request.state, "request_id", "")
    body: dict[str, object] = {
        "type": f"https://phoenix.io/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "instance": request.scope["path"],
        "code": code,
        "error": {"code": code, "message": message},
        "request_id": request_id,
    }
    if remedy:
        body["remedy"] = remedy
    if errors:
        body["errors"] = errors
    answered = {"Cache-Control": "no-store", "Content-Language": "en", **(headers or {})}
    if retry_after_s is not None:
        answered["Retry-After"] = str(max(1, round(retry_after_s)))
    return JSONResponse(body, status, answered, media_type="application/problem+json")


def malformed(request: Request, error: Malformed) -> JSONResponse:
    """The answer to a request that no route should see."""
    return problem(
        request,
        error.status,
        error.problem_code,
        error.message,
        remedy=error.remedy,
        # What follows on this connection cannot be trusted once a body was not read to its end.
        headers={"Connection": "close"} if error.status in _ENDS_CONNECTION else None,
    )


def add_handlers(app: FastAPI) -> None:
    """Translate every error that leaves a route."""

    @app.exception_handler(PhoenixError)
    async def refused(request: Request, error: PhoenixError) -> JSONResponse:
        if isinstance(error, Malformed):
            return malformed(request, error)
        return problem(
            request,
            status_of(error),
            error.code,
            error.message,
            remedy=error.remedy,
            retry_after_s=getattr(error, "retry_after_s", None),
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = [
            {"pointer": "/" + "/".join(str(part) for part in e["loc"]), "code": str(e["type"])}
            for e in error.errors()
        ]
        first = error.errors()[0]
        message = f"{found[0]['pointer']}: {first['msg']}"
        return problem(request, 422, "validation_error", message, remedy=_SCHEMA, errors=found)

    @app.exception_handler(HTTPException)
    async def framing(request: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        if status == HTTPStatus.NOT_FOUND:
            return problem(
                request, status, "not_found", "There is nothing at that path.", remedy=_SCHEMA
            )
        headers = dict(error.headers or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = request.state.allow
            allowed = f"It allows {headers['Allow']}."
            return problem(
                request, status, "method_not_allowed", "That method is not for this path.",
                remedy=allowed, headers=headers,
            )  # fmt: skip
        code = HTTPStatus(status).name.lower()
        return problem(request, status, code, str(error.detail), headers=headers)
