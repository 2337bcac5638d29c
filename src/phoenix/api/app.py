"""The application: the framing of every request outside, then one router per noun.

It binds to loopback until identities arrive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from phoenix import __version__
from phoenix.api.framing import Allowed, Framing
from phoenix.api.problems import add_handlers
from phoenix.api.queries import known_once
from phoenix.api.routes import experiments, health, ledger, pipelines
from phoenix.wiring import Services

ROUTERS = (
    health.router,
    experiments.router,
    pipelines.router,
    ledger.router,
    ledger.receipts,
)


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
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(known_once)])
    of_routers = [route for router in ROUTERS for route in router.routes]
    app.add_middleware(Framing, allowed=Allowed([*app.routes, *of_routers]))
    return app
