"""The meter's door: OTLP/HTTP as the specification says, and health for those who run it.

    POST /{experiment}/{arm}/v1/metrics    one arm's metrics, with the arm's bearer token
    GET  /health                           alive
    GET  /ready                            knows what to count and has room
    GET  /metrics                          the meter's own, Prometheus text

Success is 200 with an ExportMetricsServiceResponse, failure is a google.rpc.Status, both in the
encoding of the request (opentelemetry.io/docs/specs/otlp, OTLP/HTTP). What a sender should try
again is 429 or 503 with Retry-After; anything else it must not. A plain ASGI application: one route
that matters needs no framework, and a framework costs more than the counting.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import uvicorn
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from phoenix.base.clock import Clock
from phoenix.base.errors import (
    Denied,
    Invalid,
    NotFound,
    PhoenixError,
    Throttled,
    Unavailable,
)
from phoenix.host.ports import listen
from phoenix.measurement.compression import BODY_BYTES_MAX
from phoenix.measurement.errors import MissingToken, TooLarge, UnsupportedMedia
from phoenix.measurement.meter import Counted, Meter
from phoenix.storage.database import Database

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
BODY_TIMEOUT_S: Final = 15.0
"""A body that takes longer is answered 408, so that slow senders hold nothing."""
CONNECTIONS_MAX: Final = 512
_KEEP_ALIVE_S = 75

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class SlowBody(Invalid):
    """The body did not come in time."""


class _Gone(Exception):
    """The sender hung up before its body was whole."""


class MeterApp:
    """The ASGI application over a Meter."""

    def __init__(self, meter: Meter, *, body_timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._meter = meter
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            answer = await self._answer(scope["method"], scope["path"], headers, receive)
        except _Gone:
            return
        self._meter.metrics.requests.labels(str(answer.status)).inc()
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type.encode()),
                    (b"content-length", str(len(answer.body)).encode()),
                    *answer.headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(
        self, method: str, path: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> _Answer:
        parts = path.strip("/").split("/")
        if len(parts) == 4 and parts[2:] == ["v1", "metrics"]:
            if method != "POST":
                return _plain(405, "Metrics are sent with POST.", ((b"allow", b"POST"),))
            return await self._metrics(parts[0], parts[1], headers, receive)
        if method not in ("GET", "HEAD"):
            return _plain(404, "Metrics go to /EXPERIMENT/ARM/v1/metrics.")
        match path:
            case "/health":
                return _plain(200, "alive")
            case "/ready" if self._meter.ready:
                return _plain(200, "ready")
            case "/ready":
                return _plain(503, "The database was not reached yet, or ticks wait for it.")
            case "/metrics":
                text = generate_latest(self._meter.metrics.registry)
                return _Answer(status=200, body=text, content_type=CONTENT_TYPE_LATEST)
        return _plain(404, "There is /health, /ready and /metrics.")

    async def _metrics(
        self, experiment_id: str, arm: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> _Answer:
        content_type = _header(headers, b"content-type").partition(";")[0].strip()
        json = content_type == _JSON
        try:
            # The token first: who may not send is not read.
            known = await self._meter.authorize(experiment_id, arm, _bearer(headers))
            if content_type not in (_PROTOBUF, _JSON):
                raise UnsupportedMedia(
                    f"The Content-Type {content_type[:60]!r} is not OTLP.",
                    remedy=f"Send {_PROTOBUF} or {_JSON}.",
                )
            encoding = _header(headers, b"content-encoding")
            body = await self._body(headers, receive)
            counted = self._meter.receive(experiment_id, known, body, encoding=encoding, json=json)
        except PhoenixError as refusal:
            return _refused(refusal, json=json)
        return _accepted(counted, json=json)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > BODY_BYTES_MAX:
                        raise _too_large()
                    parts.append(part)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError as reason:
            raise SlowBody(
                f"The body did not come within {self._body_timeout_s:g} s.",
                remedy="Send smaller requests, or compress them.",
            ) from reason


def server(meter: Meter, *, host: str, port: int) -> uvicorn.Server:
    """The HTTP server for a meter; port 0 takes a free one."""
    return uvicorn.Server(
        uvicorn.Config(
            MeterApp(meter),
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
            server_header=False,
        )
    )


async def serve(database: Database, clock: Clock, *, host: str, port: int) -> None:
    """Run a meter until the process is told to end (SIGTERM, SIGINT).

    `database` is open. What is closed by then is written.

    Raises:
        PortTaken: another program listens there.
    """
    listening = listen(host, port)
    meter = Meter(database, clock)
    stop = asyncio.Event()
    counting = asyncio.create_task(meter.run(stop))
    try:
        await server(meter, host=host, port=port).serve(sockets=[listening])
    finally:
        stop.set()
        await counting


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").strip().lower()


def _bearer(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _accepted(counted: Counted, *, json: bool) -> _Answer:
    if not counted.dropped:
        return _Answer(
            status=200, body=b"{}" if json else b"", content_type=_JSON if json else _PROTOBUF
        )
    message = "The meter holds as many points of this tick as it may."
    if json:
        partial = {"rejectedDataPoints": str(counted.dropped), "errorMessage": message}
        return _Answer(
            status=200, body=orjson.dumps({"partialSuccess": partial}), content_type=_JSON
        )
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = counted.dropped
    response.partial_success.error_message = message
    return _Answer(status=200, body=response.SerializeToString(), content_type=_PROTOBUF)


def _refused(refusal: PhoenixError, *, json: bool) -> _Answer:
    status, code = _status(refusal)
    if json:
        body = orjson.dumps({"code": code, "message": str(refusal)})
    else:
        body = _Status(code=code, message=str(refusal)).SerializeToString()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(refusal, Throttled | Unavailable):
        headers = ((b"retry-after", str(math.ceil(refusal.retry_after_s)).encode()),)
    if status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return _Answer(
        status=status, body=body, content_type=_JSON if json else _PROTOBUF, headers=headers
    )


def _status(refusal: PhoenixError) -> tuple[int, int]:
    """The HTTP status and the gRPC code (google.rpc.Code) of a refusal."""
    match refusal:
        case MissingToken():
            return 401, 16
        case Denied():
            return 403, 7
        case NotFound():
            return 404, 5
        case TooLarge():
            return 413, 8
        case UnsupportedMedia():
            return 415, 3
        case SlowBody():
            return 408, 4
        case Throttled():
            return 429, 8
        case Unavailable():
            return 503, 14
    return 400, 3


def _plain(status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> _Answer:
    return _Answer(
        status=status,
        body=text.encode() + b"\n",
        content_type="text/plain; charset=utf-8",
        headers=headers,
    )


def _too_large() -> TooLarge:
    return TooLarge(
        f"The body is larger than {BODY_BYTES_MAX} bytes.",
        remedy="Make requests smaller: `sending_queue.batch.max_size` of the exporter.",
    )


def _status_schema() -> Any:
    """google.rpc.Status without its details: code = 1, message = 2 (google/rpc/status.proto)."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="phoenix/measurement/status.proto", package="phoenix.measurement", syntax="proto3"
    )
    message = file.message_type.add(name="Status")
    one = kinds.LABEL_OPTIONAL
    message.field.add(name="code", number=1, type=kinds.TYPE_INT32, label=one)
    message.field.add(name="message", number=2, type=kinds.TYPE_STRING, label=one)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("phoenix.measurement.Status"))


_Status = _status_schema()
