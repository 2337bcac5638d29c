"""A real Prometheus 3 for tests and measurements: fed over OTLP, asked in PromQL, gone afterwards.

What a backend makes of our series is a claim about somebody else's program, so it is that program
that answers. It listens on a free loopback port, keeps its samples in a temporary folder, scrapes
nothing and ends with this process. Every resource attribute becomes a label, as the identity of a
series in OTLP asks; names are translated as Prometheus does by default
(`process.cpu.time` in `s` becomes `process_cpu_time_seconds_total`).

    with Prometheus(data_dir) as prometheus:
        prometheus.take(request)
        prometheus.ask("sum(increase(process_cpu_time_seconds_total[1h]))", at_s=end)
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from phoenix.base.errors import Invalid, Unavailable
from phoenix.host import tether
from phoenix.host.ports import free_port
from phoenix.testing.prometheus_build import program

_CONFIGURATION = """\
otlp:
  promote_all_resource_attributes: true
  translation_strategy: UnderscoreEscapingWithSuffixes
"""
_READY_WITHIN_S = 60.0
_END_WITHIN_S = 20.0
# A query over an hour of churn reads hundreds of thousands of series.
_ANSWER_WITHIN_S = 600.0


class PrometheusFailed(Unavailable):
    """Prometheus did not start."""


class SamplesRefused(Invalid):
    """Prometheus did not take the samples."""


class QueryRefused(Invalid):
    """Prometheus did not answer the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One element of an answer."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """A server over an empty store while it is entered.

    Args:
        data_dir: the clone's `.phoenix`, where the program is built.
        features: names for `--enable-feature`, as its documentation lists them.
        report: hears what takes long.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        features: Sequence[str] = (),
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._program = program("prometheus", data_dir, report=report)
        self._features = tuple(features)

    def __enter__(self) -> Prometheus:
        with ExitStack() as stack:
            name = stack.enter_context(TemporaryDirectory(prefix="phoenix-prometheus-"))
            folder = Path(name)
            self._port = free_port()
            self._client = stack.enter_context(
                httpx.Client(base_url=self.url, timeout=_ANSWER_WITHIN_S, trust_env=False)
            )
            self._child = self._start(folder)
            stack.callback(tether.end, self._child, within_s=_END_WITHIN_S)
            self._await_ready(folder / "log")
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
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def take(self, request: ExportMetricsServiceRequest) -> None:
        """Store the samples of a request, or none of them.

        Raises:
            SamplesRefused: for example two values for one series and time.
        """
        answer = self._client.post(
            "/api/v1/otlp/v1/metrics",
            content=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )
        if answer.status_code != httpx.codes.OK:
            raise SamplesRefused(f"Prometheus did not take the samples: {answer.text.strip()}")

    def ask(self, query: str, *, at_s: float) -> list[Value]:
        """The answer to an instant query at `at_s`, Unix seconds; a scalar is one without labels.

        Raises:
            QueryRefused: it is not PromQL, or it is too much.
        """
        data = self._get("/api/v1/query", {"query": query, "time": f"{at_s:.3f}"})
        if data["resultType"] == "scalar":
            return [Value(labels={}, value=float(data["result"][1]))]
        return [Value(labels=x["metric"], value=float(x["value"][1])) for x in data["result"]]

    def total(self, query: str, *, at_s: float) -> float:
        """The sum over the elements of an answer; 0 for an empty one."""
        return sum(one.value for one in self.ask(query, at_s=at_s))

    def _get(self, path: str, asked: Mapping[str, str]) -> Any:
        answer = self._client.post(path, data=dict(asked)).json()
        if answer["status"] != "success":
            raise QueryRefused(f"Prometheus did not answer: {answer['error']}")
        return answer["data"]

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        configuration = folder / "prometheus.yml"
        configuration.write_text(_CONFIGURATION)
        argv = [
            str(self._program),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--web.enable-otlp-receiver",
            f"--query.timeout={_ANSWER_WITHIN_S:.0f}s",
            "--log.level=warn",
        ]
        if self._features:
            argv.append(f"--enable-feature={','.join(self._features)}")
        with (folder / "log").open("wb") as log:
            return tether.spawn(argv, stdout=log, stderr=log, cwd=folder)

    def _await_ready(self, log: Path) -> None:
        give_up = time.monotonic() + _READY_WITHIN_S
        while self._child.poll() is None and time.monotonic() < give_up:
            try:
                if self._client.get("/-/ready").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.05)
        said = log.read_text(errors="replace")
        raise PrometheusFailed(f"Prometheus did not start:\n{said[-2000:]}")


def counter(
    name: str,
    labels: Mapping[str, str],
    samples: Iterable[tuple[float, float]],
    *,
    unit: str = "",
    start_s: float = 0.0,
) -> ExportMetricsServiceRequest:
    """A cumulative counter as OTLP.

    Args:
        labels: the attributes of its resource.
        samples: Unix seconds and value of each.
        start_s: its start time, Unix seconds; 0 means not known.
    """
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, text in labels.items():
        resource.resource.attributes.add(key=key).value.string_value = text
    metric = resource.scope_metrics.add().metrics.add(name=name, unit=unit)
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    for at_s, value in samples:
        metric.sum.data_points.add(
            time_unix_nano=round(at_s * 1e9),
            start_time_unix_nano=round(start_s * 1e9),
            as_double=value,
        )
    return request
