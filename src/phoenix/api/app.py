"""The application: middleware in order, then one router per noun.

It binds to loopback until identities arrive. A request whose Host is not a loopback name is
refused, so that a web page cannot reach it through DNS rebinding.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request, Response

from phoenix import __version__
from phoenix.api.problems import add_handlers, problem
from phoenix.api.routes import experiments, health, pipelines
from phoenix.base.ids import new_id
from phoenix.wiring import Services

_REQUEST_ID = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")
_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$")

log = structlog.get_logger()

Next = Callable[[Request], Awaitable[Response]]


def create_app(services: Services) -> FastAPI:
    """The API over `services`, which are opened and closed with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.opened():
            yield

    app = FastAPI(
        title="Phoenix",
        version=__version__,
        summary="Changes a running system safely, and proves it.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from a public host
        redoc_url=None,
    )
    app.state.services = services
    add_handlers(app)
    app.include_router(health.router)
    app.include_router(experiments.router)
    app.include_router(pipelines.router)

    @app.middleware("http")
    async def answer(request: Request, call_next: Next) -> Response:
        wanted = request.headers.get("x-request-id", "")
        request.state.request_id = wanted if _REQUEST_ID.match(wanted) else new_id("req")
        if not _LOOPBACK.match(request.headers.get("host", "")):
            response: Response = problem(
                request, 421, "misdirected_request", "This server answers on loopback names only."
            )
        else:
            try:
                response = await call_next(request)
            except Exception:  # the outermost middleware: nothing else may see it
                log.exception("request failed", request_id=request.state.request_id)
                response = problem(
                    request, 500, "internal_error", "Phoenix made a mistake; the log tells more."
                )
        response.headers["X-Request-Id"] = request.state.request_id
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app
