"""/health says that the process answers, /ready that it can do its work, /metrics what it did."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from phoenix import __version__
from phoenix.base.errors import PhoenixError
from phoenix.wiring import Services

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok", "version": __version__}


@router.get("/ready")
async def ready(request: Request, response: Response) -> dict[str, str]:
    """The database answers, and what the kill plane says."""
    services: Services = request.app.state.services
    try:
        kill = await services.safety.state()
    except PhoenixError as error:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
        return {"status": "unavailable", "database": error.message}
    return {"status": "ready", "database": "ok", "kill": "in force" if kill.killed else "none"}


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus exposition of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
