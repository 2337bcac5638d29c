"""/api/v1/experiments: create, list, read, watch, stop."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from phoenix.api.bodies import StrictBody, in_schema, read
from phoenix.api.problems import Malformed
from phoenix.api.queries import Whole
from phoenix.base.errors import Unavailable
from phoenix.base.ids import EXPERIMENT_ID
from phoenix.experiments.errors import ExperimentNotFound
from phoenix.experiments.guarding import QUERIES_MAX, asked
from phoenix.experiments.model import State
from phoenix.experiments.request import ArmRequest, ExperimentRequest, LoadRequest
from phoenix.wiring import Services

router = APIRouter(prefix="/api/v1/experiments", tags=["experiments"])

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_POLL_S = 0.5
_STREAM_S_MAX = 3600.0
# The bootstrap key stands for everybody until identities arrive; doors are on loopback.
_ACTOR = "local"

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ArmBody(StrictBody):
    """A catalog pipeline with parameters, or the text of a collector configuration."""

    pipeline: str | None = Field(None, max_length=100)
    parameters: dict[str, Any] = Field(default_factory=dict)
    config: str | None = Field(None, max_length=1024 * 1024)
    file: str | None = Field(None, max_length=255)


class LoadBody(StrictBody):
    """Real processes to start beside the host's own."""

    profile: Literal["realistic", "high-cardinality", "high-churn"]
    seed: int = Field(1, ge=0, le=2**31)
    count: int | None = Field(None, ge=1, le=10_000)


class QueriesBody(StrictBody):
    """Queries of rules and dashboards as the command line reads them from files, and the backend
    that they are asked of."""

    queries: list[dict[str, Any]] = Field(min_length=1, max_length=QUERIES_MAX)
    backend: dict[str, Any] = Field(default_factory=dict)


class CreateBody(StrictBody):
    """What to try."""

    baseline: ArmBody
    candidate: ArmBody
    name: str | None = Field(None, min_length=3, max_length=100)
    description: str = Field("", max_length=500)
    profile: Literal["demo", "standard"] = "demo"
    critical: list[str] | None = Field(None, max_length=500)
    interval_s: float | None = Field(None, ge=1.0, le=3600.0)
    warmup_ticks: int | None = Field(None, ge=0, le=100_000)
    evidence_ticks_max: int | None = Field(None, ge=1, le=1_000_000)
    required_reduction: Share | None = None
    coverage_margin: Share | None = None
    min_recall_top_k: Share | None = None
    load: LoadBody | None = None
    redact: bool = True
    allow_lost_totals: bool = False
    guard: QueriesBody | None = None

    def to_request(self) -> ExperimentRequest:
        """The same, in the words of the service."""
        return ExperimentRequest(
            baseline=ArmRequest(**self.baseline.model_dump()),
            candidate=ArmRequest(**self.candidate.model_dump()),
            load=LoadRequest(**self.load.model_dump()) if self.load else None,
            guard=self.guard.model_dump() if self.guard else None,
            **self.model_dump(exclude={"baseline", "candidate", "load", "guard"}),
        )


class StopBody(StrictBody):
    """Why it is stopped."""

    reason: str = Field("stopped by hand", min_length=1, max_length=500)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _check_key(keys: list[str]) -> None:
    if len(keys) > 1:
        raise Malformed(
            400, "idempotency_key_twice", "There are two Idempotency-Keys.", remedy="Send one."
        )
    if keys and not _KEY.fullmatch(keys[0]):
        raise Malformed(
            400,
            "idempotency_key_invalid",
            "That cannot be an Idempotency-Key.",
            remedy="Send 1 to 255 visible ASCII characters, for example a UUID.",
        )


def _checked(experiment_id: str) -> str:
    if not EXPERIMENT_ID.fullmatch(experiment_id):
        raise ExperimentNotFound(
            f"There is no experiment '{experiment_id[:40]}'.",
            remedy="GET /api/v1/experiments lists them.",
        )
    return experiment_id


@router.post("", status_code=201, openapi_extra=in_schema(CreateBody))
async def create(
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Create an experiment. It starts as soon as the controller sees it.

    The same `Idempotency-Key` with the same body gives the same answer; with another body it is
    refused.
    """
    _check_key(request.headers.getlist("idempotency-key"))
    body = await read(request, CreateBody)
    services = _services(request)
    created = await services.experiments.create(body.to_request(), _ACTOR, idempotency_key)
    if created.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Location"] = f"/api/v1/experiments/{created.answer['id']}"
    return dict(created.answer)


@router.get("")
async def list_experiments(
    request: Request,
    state: State | None = None,
    page: Annotated[Whole, Query(ge=1, le=100_000)] = 1,
    per_page: Annotated[Whole, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """The experiments, newest first."""
    return await _services(request).experiments.page(
        state.value if state else None, per_page, (page - 1) * per_page
    )


@router.get("/{experiment_id}")
async def show(request: Request, experiment_id: str) -> dict[str, Any]:
    """One experiment with its steps."""
    return await _services(request).experiments.described(_checked(experiment_id))


@router.get("/{experiment_id}/metrics")
async def metrics(
    request: Request,
    experiment_id: str,
    after: Annotated[Whole, Query(ge=-1)] = -1,
    limit: Annotated[Whole, Query(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:
    """What each arm emitted, tick by tick, after the tick named."""
    return await _services(request).experiments.metrics(_checked(experiment_id), after, limit)


@router.get("/{experiment_id}/report")
async def report(request: Request, experiment_id: str) -> dict[str, Any]:
    """The whole result as one document; the HTML page is drawn from it."""
    return await _services(request).experiments.report(_checked(experiment_id))


@router.get("/{experiment_id}/events")
async def events(request: Request, experiment_id: str) -> Response:
    """Server-sent events: `experiment` whenever something changed, `end` when it is final."""
    services = _services(request)
    await services.experiments.described(_checked(experiment_id))
    if hasattr(request.state, "head"):  # its body would only end with the experiment
        return Response(media_type="text/event-stream")
    return StreamingResponse(
        _stream(request, services, experiment_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.post("/{experiment_id}/stop", openapi_extra=in_schema(StopBody))
async def stop(request: Request, experiment_id: str) -> dict[str, Any]:
    """Cancel it. What is final stays as it is and answers 409."""
    _checked(experiment_id)
    body = await read(request, StopBody)
    services = _services(request)
    await services.experiments.cancel(experiment_id, _ACTOR, body.reason)
    return await services.experiments.described(experiment_id)


@router.post("/{experiment_id}/guard", openapi_extra=in_schema(QueriesBody))
async def guard(request: Request, experiment_id: str) -> dict[str, Any]:
    """Whether alerts and dashboards still answer with the candidate in place of the baseline.

    Resolved against what both arms have emitted so far, not evaluated; nothing is changed.
    """
    _checked(experiment_id)
    body = await read(request, QueriesBody)
    return await _services(request).checks.check(experiment_id, asked(body.model_dump()))


async def _stream(request: Request, services: Services, experiment_id: str) -> AsyncIterator[str]:
    last = ""
    waited = 0.0
    while waited < _STREAM_S_MAX and not await request.is_disconnected():
        try:
            found = await services.experiments.described(experiment_id)
        except Unavailable:  # the watcher connects again and is told so
            return
        text = json.dumps(found, sort_keys=True)
        if text != last:
            last = text
            yield f"event: experiment\ndata: {text}\n\n"
        if State(found["state"]).is_final:
            yield f"event: end\ndata: {json.dumps({'state': found['state']})}\n\n"
            return
        await asyncio.sleep(_POLL_S)
        waited += _POLL_S
