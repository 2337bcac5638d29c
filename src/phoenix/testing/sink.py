"""A small OTLP/HTTP receiver that keeps what came and misbehaves on demand, path by path.

A path is that of a collector's arm: `/<experiment>/<arm>/v1/metrics`. Each request of an unbatched
arm is one scrape; what is kept of it is when it was made and how many points it had.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

Manner = Literal["takes", "refuses", "is slow"]
SLOW_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One request: the earliest time of its points, and how many there were."""

    at_ns: int
    points: int


@dataclass(slots=True)
class Sink:
    """Listens on a free loopback port while it is entered."""

    manner: dict[str, Manner] = field(default_factory=dict)
    _kept: dict[str, list[Scrape]] = field(default_factory=lambda: defaultdict(list))
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        assert self._server is not None, "entered"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def scrapes(self, arm: str) -> list[Scrape]:
        """What an arm's scrapes were, in order of arrival."""
        return list(self._kept[arm])

    def __enter__(self) -> Sink:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._server is not None, "entered"
        self._server.shutdown()
        self._server.server_close()

    def take(self, arm: str, body: bytes) -> int:
        """Handle one request; returns the HTTP status."""
        manner = self.manner.get(arm, "takes")
        if manner == "refuses":
            return 503
        if manner == "is slow":
            time.sleep(SLOW_S)
        self._kept[arm].append(_scrape(Request.FromString(body)))
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _scrape(request: Request) -> Scrape:
    times = [
        point.time_unix_nano
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in (*metric.sum.data_points, *metric.gauge.data_points)
    ]
    return Scrape(at_ns=min(times, default=0), points=len(times))


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = sink.take(self.path.split("/")[-3], body)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True  # a collector that was killed meanwhile

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler
