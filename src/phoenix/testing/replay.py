"""A recorded hour through one arm of a real collector, as fast as it goes.

The arm runs with exactly the processors of its pipeline. Only its exporter's queue is taken away:
then a scrape is answered when everything that it leads to has left, so what arrives while a scrape
is handed in belongs to that scrape.

Some processors look at the clock: cumulative_to_delta counts a first value only if its stream began
after the processor did. So times are moved on the way in, such that the first scrape comes right
after the collector's start, and moved back on the way out. What a processor forgets after some
minutes by the clock it still knows in a replay, which takes less.

    with Arm(binary, document) as arm:
        for body in recording.frames(path):
            for request in arm.scrape(body): ...
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from phoenix.base.errors import Unavailable
from phoenix.host import tether
from phoenix.host.ports import free_port
from phoenix.pipelines import documents

_READY_WITHIN_S = 30.0
_END_WITHIN_S = 15.0
_TAKEN_WITHIN_S = 120.0
_MEMORY_MIB = 4096
_AFTER_START_NS = 1_000_000_000


class ArmFailed(Unavailable):
    """The collector did not start, or did not take a scrape."""


class Arm:
    """A collector that is fed scrapes and whose exports are kept, while it is entered.

    Args:
        binary: the built collector.
        document: an arm's configuration that is fed by a scraper (phoenix.pipelines.render.arm).
        name: for messages.
    """

    def __init__(self, binary: Path, document: Mapping[str, Any], name: str = "arm") -> None:
        self._binary = binary.resolve()
        self._text = documents.dump(synchronous(document))
        self._name = name
        self._left: list[bytes] = []
        self._by_ns = 0

    def __enter__(self) -> Arm:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="phoenix-replay-")))
            sink = _Sink(("127.0.0.1", 0), _handler(self._left))
            stack.callback(sink.server_close)
            stack.callback(sink.shutdown)
            threading.Thread(target=sink.serve_forever, daemon=True).start()
            listen = f"127.0.0.1:{free_port()}"
            self._client = stack.enter_context(
                httpx.Client(base_url=f"http://{listen}", timeout=_TAKEN_WITHIN_S, trust_env=False)
            )
            config, self._log = folder / "collector.yaml", folder / "log"
            config.write_text(self._text)
            with self._log.open("wb") as log:
                self.child = tether.spawn(
                    [str(self._binary), "--config", str(config)],
                    env={
                        "PATH": os.environ.get("PATH", ""),
                        "PHOENIX_OTLP_LISTEN": listen,
                        "PHOENIX_METER_ENDPOINT": f"http://127.0.0.1:{sink.server_address[1]}",
                        "PHOENIX_METER_TOKEN": "replay",
                        "PHOENIX_TELEMETRY_PORT": str(free_port()),
                    },
                    stdout=log,
                    stderr=log,
                )
            stack.callback(tether.end, self.child, within_s=_END_WITHIN_S)
            self._await_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def moved_ns(self) -> int:
        """By how much times are moved; 0 before the first scrape."""
        return self._by_ns

    def start_at(self, moved_ns: int | None) -> None:
        """Go on with the times of an arm whose times were moved by so much."""
        self._by_ns = moved_ns or 0

    def scrape(self, body: bytes) -> list[Request]:
        """Hand one scrape in; answers what left for it.

        Raises:
            ArmFailed: the collector refused it.
        """
        request = Request.FromString(body)
        if not self._by_ns:
            first_ns = min(point.time_unix_nano for point in points(request))
            self._by_ns = time.time_ns() + _AFTER_START_NS - first_ns
        move(request, self._by_ns)
        answer = self._client.post(
            "/v1/metrics",
            content=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )
        if answer.status_code != httpx.codes.OK:
            raise ArmFailed(f"{self._name} refused a scrape: {answer.text}\n{self._said()}")
        left = [Request.FromString(each) for each in self._left]
        self._left.clear()
        for each in left:
            move(each, -self._by_ns)
        return left

    def _await_ready(self) -> None:
        give_up = time.monotonic() + _READY_WITHIN_S
        while self.child.poll() is None and time.monotonic() < give_up:
            try:
                self._client.get("/")
            except httpx.TransportError:
                time.sleep(0.05)  # it does not listen yet
            else:
                return
        raise ArmFailed(f"{self._name} did not start:\n{self._said()}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def synchronous(document: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with exporters that hand on before they answer."""
    exporters = {
        name: {
            **exporter,
            "compression": "none",
            "sending_queue": {"enabled": False},
            "retry_on_failure": {"enabled": False},
        }
        for name, exporter in document["exporters"].items()
    }
    processors = dict(document.get("processors") or {})
    if "memory_limiter" in processors:
        # A replay hands in in minutes what came in an hour; it must not be refused for that.
        limit = {"limit_mib": _MEMORY_MIB, "spike_limit_mib": _MEMORY_MIB // 4}
        processors["memory_limiter"] = {**processors["memory_limiter"], **limit}
    return {**document, "processors": processors, "exporters": exporters}


def points(request: Request) -> Iterator[NumberDataPoint]:
    """Every point of the sums and gauges in a request."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from metric.sum.data_points
                yield from metric.gauge.data_points


def move(request: Request, by_ns: int) -> None:
    """Move every time in a request; a start that is not known (0) stays so."""
    for point in points(request):
        point.time_unix_nano += by_ns
        if point.start_time_unix_nano:
            point.start_time_unix_nano += by_ns


class _Sink(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler(left: list[bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            left.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler
