"""How many points a second of CPU time takes through the real collector, pipeline by pipeline.

    .venv/bin/python bench/throughput.py [--recording FOLDER] [--rounds 10] [-o json]

Recorded scrapes (or made-up ones of 300 processes) go in over OTLP/HTTP, uncompressed, one after
the other; nothing is exported. Each pass is later than the one before, so that every scrape is new.
A collector may use one core. What counts is its own CPU time, so other work on the machine disturbs
little; the pipelines take turns within each round, and ratios are those of a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from load import DATA_DIR, machine
from phoenix.collectors import distribution
from phoenix.host import proc, tether
from phoenix.host.ports import free_port
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import parse
from phoenix.testing import hosts, recording, replay
from phoenix.testing.otlp import collector_bytes, processes

CRITICAL = [parse(name) for name in ("haproxy", "redis-server", "dockerd", "containerd", "nginx")]
FILTER = "stock filter"
CHAIN = "process-aggregated-v1"
INTERVAL_S = 10.0
SCRAPES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """A collector that waits for scrapes."""

    client: httpx.Client
    pid: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    scrapes = recorded(asked.recording) if asked.recording else made_up()
    program = distribution.build(DATA_DIR)
    with ExitStack() as stack:
        fed = {name: start(stack, program, each) for name, each in pipelines().items()}
        rates = measure(fed, scrapes, asked.rounds)
    rows = {name: summary(rates[name], rates) for name in rates}
    found = {"machine": machine(), "rounds": asked.rounds, "points": points(scrapes), "rows": rows}
    if asked.output == "json":
        print(json.dumps(found, indent=2))
        return
    print(
        f"{points(scrapes) // len(scrapes):,} points a scrape, {asked.rounds} rounds; {machine()}"
    )
    print("| pipeline | points per CPU second | of the stock filter | of the stock chain |")
    print("|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['points_per_cpu_s']:,.0f} | {spread(row['of_filter'])} "
            f"| {spread(row['of_chain'])} |"
        )


def pipelines() -> dict[str, Mapping[str, Any]]:
    """Name to what stands between receiver and exporter."""
    names = ", ".join(f'"{rule.value}"' for rule in CRITICAL)
    keep = (
        'resource.attributes["process.pid"] != nil and not ContainsValue('
        f'[{names}], resource.attributes["process.executable.name"])'
    )
    alone = document("process-topk-v1")
    budget = alone["processors"]["process_budget"]
    return {
        "no processor": chain({}),
        FILTER: chain({"filter": {"error_mode": "propagate", "metric_conditions": [keep]}}),
        "process_budget alone": chain({"process_budget": budget}),
        "process-topk-v1": alone,
        CHAIN: document(CHAIN),
    }


def chain(processors: Mapping[str, Any]) -> dict[str, Any]:
    """One pipeline of these processors."""
    http = {"endpoint": "${env:PHOENIX_OTLP_LISTEN}", "max_request_body_size": 1 << 26}
    steps = {"receivers": ["otlp"], "processors": list(processors), "exporters": ["nop"]}
    return {
        "receivers": {"otlp": {"protocols": {"http": http}}},
        "processors": dict(processors),
        "exporters": {"nop": {}},
        "service": {
            "pipelines": {"metrics": steps},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }


def document(name: str) -> dict[str, Any]:
    """The arm of a pipeline of the catalog, with nothing to export to."""
    made = render.arm(catalog.load(name), None, CRITICAL, INTERVAL_S)
    found: dict[str, Any] = documents.load(made.config, name)
    found["exporters"] = {"nop": {}}
    for pipeline in found["service"]["pipelines"].values():
        if "otlp_http/meter" in pipeline["exporters"]:
            pipeline["exporters"] = ["nop"]
        pipeline["processors"] = [p for p in pipeline["processors"] if p != "memory_limiter"]
    del found["processors"]["memory_limiter"]
    found["service"]["telemetry"] = {"metrics": {"level": "none"}}
    return found


def start(stack: ExitStack, program: Path, config: Mapping[str, Any]) -> Fed:
    """A collector on one core, ready."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="phoenix-throughput-")))
    listen = f"127.0.0.1:{free_port()}"
    (folder / "collector.yaml").write_text(documents.dump(config))
    log = stack.enter_context((folder / "log").open("wb"))
    child = tether.spawn(
        [str(program.resolve()), "--config", str(folder / "collector.yaml")],
        env={
            "PATH": os.environ.get("PATH", ""),
            "PHOENIX_OTLP_LISTEN": listen,
            "GOMAXPROCS": "1",
        },
        stdout=log,
        stderr=log,
    )
    stack.callback(tether.end, child, within_s=10.0)
    client = stack.enter_context(
        httpx.Client(base_url=f"http://{listen}", timeout=60.0, trust_env=False)
    )
    give_up = time.monotonic() + 30
    while True:
        try:
            client.get("/")
        except httpx.TransportError:
            if child.poll() is not None or time.monotonic() > give_up:
                raise SystemExit((folder / "log").read_text(errors="replace")) from None
            time.sleep(0.1)
        else:
            return Fed(client=client, pid=child.pid)


def measure(
    fed: Mapping[str, Fed], scrapes: Sequence[bytes], rounds: int
) -> dict[str, list[float]]:
    """Points per CPU second of each collector in each round; the first round only warms up."""
    rates: dict[str, list[float]] = {name: [] for name in fed}
    passes = max(1, 200 // len(scrapes))
    span_ns = int(INTERVAL_S * len(scrapes) * 1e9)
    step = 0
    for number in range(rounds + 1):
        bodies = []
        for _ in range(passes):
            bodies += [recording.shifted(body, step * span_ns) for body in scrapes]
            step += 1
        for name, each in fed.items():
            before = proc.cpu_seconds(each.pid) or 0.0
            for body in bodies:
                answer = each.client.post(
                    "/v1/metrics",
                    content=body,
                    headers={"Content-Type": "application/x-protobuf"},
                )
                answer.raise_for_status()
            used = (proc.cpu_seconds(each.pid) or 0.0) - before
            if number:
                rates[name].append(points(scrapes) * passes / used)
    return rates


def summary(mine: Sequence[float], rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The median, and the ratios to the two stock pipelines as median, least and most of rounds."""

    def ratios(other: str) -> list[float]:
        found = sorted(a / b for a, b in zip(mine, rates[other], strict=True))
        return [statistics.median(found), found[0], found[-1]]

    return {
        "points_per_cpu_s": statistics.median(mine),
        "of_filter": ratios(FILTER),
        "of_chain": ratios(CHAIN),
    }


def spread(ratio: Sequence[float]) -> str:
    """A ratio with the least and most of the rounds."""
    return f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})"


def points(scrapes: Sequence[bytes]) -> int:
    """How many points they hold."""
    return sum(
        sum(1 for _ in replay.points(ExportMetricsServiceRequest.FromString(body)))
        for body in scrapes
    )


def recorded(folder: Path) -> list[bytes]:
    """The first scrapes of a recording of the default scrape."""
    manifest = recording.Manifest.of(folder)
    frames = recording.frames(folder / manifest.scrapes["process-baseline-v1"])
    return [body for body, _ in zip(frames, range(SCRAPES), strict=False)]


def made_up() -> list[bytes]:
    """Scrapes of 300 made-up processes."""
    found = processes(300, seed=1, started_ns=hosts.START_NS - 10**12)
    at = [hosts.START_NS + int(n * INTERVAL_S * 1e9) for n in range(SCRAPES)]
    return [collector_bytes(found, each) for each in at]


if __name__ == "__main__":
    main()
