"""Every pipeline of the catalog in the real collector: it starts, and it does what it says.

One shadow for all: a scraper reads this host's processes, feeds four arms over loopback, and two
arms that change the scrape read for themselves. A small OTLP/HTTP receiver keeps what each sends.
Among the processes are a critical one, one with a secret on its command line, some that burn CPU
and exit, and short-lived ones.
"""

from __future__ import annotations

import gzip
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL, matches, parse
from phoenix.pipelines.model import CriticalRule

COLLECTOR = Path(
    os.environ.get("PHOENIX_COLLECTOR_BINARY")
    or Path(__file__).parents[2] / ".phoenix" / "collector" / "otelcol-phoenix"
)
SECRET = "hunter2-5f1c-never-to-be-seen"
CRITICAL = (parse("phx-critical"), parse("regex:^phx-door-[0-9]$"))
FOUR_KINDS = (
    parse("nginx"),
    parse('name:a"b\\c$d'),
    parse("regex:^w\\.x$"),
    parse("path:/usr/sbin/cron"),
    parse("path:/opt/shop/"),
    parse("owner:postgres"),
)
FED = {
    "baseline": "process-baseline-v1",
    "aggregated": "process-aggregated-v1",
    "threshold": "process-threshold-v1",
    "priority": "process-priority-filter-v1",
    "broken": "process-broken-demo-v1",
}
# Arms whose critical rules are of the other kinds, over a pipeline that keeps nothing else.
KINDS = ("paths", "owners")
SELF = {"slim": "process-slim-v1", "minimal": "process-minimal-v1"}
SCRAPES = 9

pytestmark = pytest.mark.collector


@pytest.mark.parametrize("name", catalog.names())
@pytest.mark.parametrize("rules", [DEFAULT_CRITICAL, FOUR_KINDS], ids=["default", "four-kinds"])
def test_the_collector_validates_every_rendering(
    name: str, rules: tuple[CriticalRule, ...], tmp_path: Path
) -> None:
    pipeline = catalog.load(name)
    texts = {
        "arm": render.arm(pipeline, None, rules, 1, own_paths=("/opt/phoenix/",)).config,
        "scraper": render.scraper(
            pipeline, None, 1, ["baseline", "candidate"], ["/opt/phoenix/"], True, rules
        ).config,
        "production": render.production(pipeline, None, rules, 60).config,
    }
    for place, text in texts.items():
        file = tmp_path / f"{place}.yaml"
        file.write_text(text)
        done = subprocess.run(
            [COLLECTOR, "validate", "--config", file],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{place}: {done.stderr}"


# --- what arrived -------------------------------------------------------------------------------


@dataclass(slots=True)
class Arrived:
    """The requests of each arm, in order of arrival."""

    raw: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[str, tuple[CriticalRule, ...]] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)  # the collectors of this shadow

    def requests(self, arm: str) -> list[Request]:
        return [Request.FromString(body) for body in self.raw[arm]]

    def points(self, arm: str) -> list[Point]:
        return [point for request in self.requests(arm) for point in _points(request)]


@dataclass(frozen=True, slots=True)
class Point:
    resource: tuple[tuple[str, object], ...]
    metric: str
    attributes: tuple[tuple[str, object], ...]
    start: int
    at: int
    value: float

    def of(self, key: str) -> object:
        return dict(self.resource).get(key)


def _points(request: Request) -> Iterator[Point]:
    for group in request.resource_metrics:
        resource = _pairs(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                assert kind in {"sum", "gauge"}
                for p in getattr(metric, kind).data_points:
                    yield Point(
                        resource,
                        metric.name,
                        _pairs(p.attributes),
                        p.start_time_unix_nano,
                        p.time_unix_nano,
                        _value(p),
                    )


def _pairs(attributes: object) -> tuple[tuple[str, object], ...]:
    return tuple(
        sorted((a.key, a.value.string_value or a.value.int_value) for a in attributes)  # type: ignore[attr-defined]
    )


def _value(point: NumberDataPoint) -> float:
    return point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)


# --- the shadow ---------------------------------------------------------------------------------


def _environment(**more: str) -> dict[str, str]:
    given = {
        "PHOENIX_OTLP_LISTEN": "127.0.0.1:1",
        "PHOENIX_METER_ENDPOINT": "http://127.0.0.1:1/x",
        "PHOENIX_METER_TOKEN": "token",
        "PHOENIX_BASELINE_ENDPOINT": "127.0.0.1:1",
        "PHOENIX_CANDIDATE_ENDPOINT": "127.0.0.1:1",
        "PHOENIX_TELEMETRY_PORT": "1",
        "PHOENIX_REDACTION_SALT": "0badc0de",
        "OTLP_ENDPOINT": "http://127.0.0.1:1",
    }
    return {**os.environ, **given, **more}


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def _sink(arrived: Arrived) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Encoding"] == "gzip"
            assert self.headers["Authorization"] == "Bearer token"
            arrived.raw[self.path.split("/")[1]].append(gzip.decompress(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _named(folder: Path, name: str) -> Path:
    """A real program under another name: the executable's own name and path are `name`."""
    program = folder / name
    shutil.copy("/bin/sleep", program)
    return program


BURN = "import time; e = time.monotonic() + {s}\nwhile time.monotonic() < e: sum(range(20000))"


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    folder = tmp_path_factory.mktemp("shadow")
    arrived = Arrived()
    server = _sink(arrived)
    meter = f"http://127.0.0.1:{server.server_address[1]}"
    running: list[subprocess.Popen[bytes]] = []
    own = (f"{COLLECTOR.resolve().parent}/",)

    def start(name: str, text: str, **environment: str) -> None:
        file = folder / f"{name}.yaml"
        file.write_text(text)
        with (folder / f"{name}.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [COLLECTOR.resolve(), "--config", file],
                    env=_environment(**environment),
                    stdout=log,
                    stderr=log,
                )
            )
        arrived.own.add(running[-1].pid)

    def run(*argv: str | Path) -> None:
        running.append(subprocess.Popen([str(a) for a in argv]))

    try:
        run(_named(folder, "phx-critical"), "600")
        run(_named(folder, "phx-door-1"), "600")
        run(sys.executable, "-c", "import time; time.sleep(600)", f"--password={SECRET}")
        everyone = [*FED, *KINDS, *SELF, "scraper"]
        ports = dict(zip(everyone, _free_ports(len(everyone)), strict=True))
        listen = dict(zip([*FED, *KINDS], _free_ports(len(FED) + len(KINDS)), strict=True))
        arrived.rules = _rules_of_other_kinds(folder)
        arms = {**FED, **dict.fromkeys(KINDS, "process-priority-filter-v1"), **SELF}
        given: dict[str, dict[str, object]] = {
            **{name: {"minimum_age": "0s"} for name in SELF},
            **{name: {"system": (), "runtimes": ()} for name in KINDS},
        }
        for name, pipeline in arms.items():
            rules = arrived.rules.get(name, CRITICAL)
            start(
                name,
                render.arm(catalog.load(pipeline), given.get(name), rules, 1, own_paths=own).config,
                PHOENIX_OTLP_LISTEN=f"127.0.0.1:{listen.get(name, 1)}",
                PHOENIX_METER_ENDPOINT=f"{meter}/{name}",
                PHOENIX_TELEMETRY_PORT=str(ports[name]),
            )
        for port in listen.values():
            _wait_for(lambda port=port: _open(port))
        endpoints = {f"PHOENIX_{n.upper()}_ENDPOINT": f"127.0.0.1:{p}" for n, p in listen.items()}
        baseline = catalog.load("process-baseline-v1")
        start(
            "scraper",
            render.scraper(baseline, None, 1, list(listen), own, True).config,
            PHOENIX_TELEMETRY_PORT=str(ports["scraper"]),
            **endpoints,
        )
        for seconds in (2.5, 3.5, 4.5):
            run(sys.executable, "-c", BURN.format(s=seconds))
        seen = 0
        while len(arrived.raw["baseline"]) < SCRAPES:
            if len(arrived.raw["baseline"]) != seen:
                seen = len(arrived.raw["baseline"])
                run(sys.executable, "-c", BURN.format(s=1.3))
            time.sleep(0.05)
        for name in arms:
            _wait_for(lambda name=name: len(arrived.raw[name]) >= 3)
        time.sleep(1.5)
        yield arrived
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        server.shutdown()
        server.server_close()


def _rules_of_other_kinds(folder: Path) -> dict[str, tuple[CriticalRule, ...]]:
    me = pwd.getpwuid(os.getuid()).pw_name
    return {
        "paths": (
            parse(f"path:{folder.resolve()}/phx-critical"),
            parse(f"path:{Path(sys.executable).resolve().parent}/"),
            parse("regex:^(k|s)[a-z]+d$"),
        ),
        "owners": (parse(f"owner:{me}"), parse("owner:nobody-by-this-name")),
    }


def _open(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the shadow did not come up"
        time.sleep(0.1)


# --- claims -------------------------------------------------------------------------------------


def test_one_request_of_the_baseline_is_one_whole_scrape(arrived: Arrived) -> None:
    for request in arrived.requests("baseline"):
        pids = [p.of("process.pid") for p in _points(request) if p.metric == "process.memory.usage"]
        assert len(pids) == len(set(pids))
        times = [p.at for p in _points(request)]
        assert max(times) - min(times) < 1_000_000_000
    starts = [min(p.at for p in _points(r)) for r in arrived.requests("baseline")]
    assert starts == sorted(starts)


@pytest.mark.parametrize("arm", [*FED, *SELF])
def test_no_series_has_two_points_at_one_time(arrived: Arrived, arm: str) -> None:
    points = [(p.resource, p.metric, p.attributes, p.at) for p in arrived.points(arm)]
    assert points
    assert len(points) == len(set(points))


@pytest.mark.parametrize("arm", [*FED, *SELF])
def test_only_the_demonstration_loses_a_critical_process(arrived: Arrived, arm: str) -> None:
    shown = {p.of("process.executable.name") for p in arrived.points(arm)}
    assert ("phx-critical" in shown) is (arm != "broken")
    assert "phx-door-1" in shown


@pytest.mark.parametrize("arm", [*FED, *SELF])
def test_phoenix_does_not_see_itself(arrived: Arrived, arm: str) -> None:
    assert arrived.own
    assert not [p for p in arrived.points(arm) if p.of("process.pid") in arrived.own]


def test_no_arm_is_sent_a_secret_of_a_command_line(arrived: Arrived) -> None:
    bodies = [body for bodies in arrived.raw.values() for body in bodies]
    assert bodies
    assert not [1 for body in bodies if SECRET.encode() in body or b"--password" in body]
    lines = {str(p.of("process.command_line")) for p in arrived.points("baseline")}
    assert any(line.startswith("phx-critical ") and len(line.split()[-1]) == 16 for line in lines)


@pytest.mark.parametrize("arm", KINDS)
def test_a_rule_means_the_same_in_the_collector_and_here(arrived: Arrived, arm: str) -> None:
    meant = {
        (p.of("process.pid"), p.at)
        for p in arrived.points("baseline")
        if any(
            matches(
                rule,
                name=str(p.of("process.executable.name")),
                path=str(p.of("process.executable.path") or "") or None,
                owner=str(p.of("process.owner") or "") or None,
            )
            for rule in arrived.rules[arm]
        )
    }
    shown = {(p.of("process.pid"), p.at) for p in arrived.points(arm)}
    until = min(max(int(at) for _, at in meant), max(int(at) for _, at in shown))
    assert {x for x in shown if x[1] <= until} == {x for x in meant if x[1] <= until}


def test_every_folded_point_has_a_category(arrived: Arrived) -> None:
    folded = [p for p in arrived.points("aggregated") if p.of("process.pid") is None]
    assert folded
    assert all(dict(p.attributes).get("process.category") for p in folded)
    categories = {dict(p.attributes)["process.category"] for p in folded}
    assert "runtime" in categories
    for category in categories:
        counted = {p.metric for p in folded if dict(p.attributes)["process.category"] == category}
        assert {"process.memory.usage", "process.count", "process.cpu.time"} <= counted


def test_the_aggregated_totals_are_the_sums_of_their_members(arrived: Arrived) -> None:
    for memory in ("process.memory.usage", "process.memory.virtual"):
        base, folded = _levels(arrived, "baseline", memory), _levels(arrived, "aggregated", memory)
        shared = _whole(base, folded)
        assert len(shared) >= SCRAPES - 1
        assert [base[t] for t in shared] == [folded[t] for t in shared]
    members = _levels(arrived, "baseline", "process.memory.usage", lambda _: 1.0)
    folded = _levels(arrived, "aggregated", "process.count")
    named = _levels(arrived, "aggregated", "process.memory.usage", _one_if_named)
    shared = _whole(members, folded)
    assert [members[t] for t in shared] == [folded[t] + named[t] for t in shared]


def test_aggregated_cpu_is_conserved_over_births_and_exits(arrived: Arrived) -> None:
    base = _baseline_increase(arrived, "process.cpu.time")
    folded = _folded_increase(arrived, "process.cpu.time")
    assert base > 3, "the burning processes were measured"
    assert folded == pytest.approx(base, rel=0.01)


def test_an_aggregated_counter_never_falls(arrived: Arrived) -> None:
    last: dict[object, float] = {}
    for p in arrived.points("aggregated"):
        if p.metric in {"process.cpu.time", "process.disk.io"} and p.of("process.pid") is None:
            key = (p.metric, p.attributes)
            assert p.value >= last.get(key, 0.0)
            last[key] = p.value
    assert last


def test_a_busy_process_passes_the_threshold_and_leaves_no_helper(arrived: Arrived) -> None:
    points = arrived.points("threshold")
    assert {p.metric for p in points} <= {p.metric for p in arrived.points("baseline")}
    assert not [p for p in points if p.of("phoenix.keep")]
    shown = {p.of("process.pid") for p in points}
    assert len(shown) > 2
    assert len(points) < len(arrived.points("baseline"))


@pytest.mark.parametrize("arm", sorted(SELF))
def test_a_pipeline_that_reads_less_shows_no_helper_attribute(arrived: Arrived, arm: str) -> None:
    kept = {key for p in arrived.points(arm) for key, _ in p.resource}
    assert kept == {"process.pid", "process.executable.name"}


def _levels(
    arrived: Arrived, arm: str, metric: str, value: object = lambda p: p.value
) -> dict[int, float]:
    """Per scrape (its second, from the earliest point of the payload) the sum of `metric`."""
    starts = sorted(min(p.at for p in _points(r)) for r in arrived.requests("baseline"))
    sums: dict[int, float] = defaultdict(float)
    for p in arrived.points(arm):
        if p.metric == metric:
            scrape = max(i for i, s in enumerate(starts) if p.at >= s)
            sums[scrape] += value(p)  # type: ignore[operator]
    return dict(sums)


def _whole(*arms: dict[int, float]) -> list[int]:
    """The scrapes that every arm has sent completely; the last ones may be under way."""
    return sorted(t for t in set.intersection(*map(set, arms)) if t < SCRAPES - 1)


def _one_if_named(point: Point) -> float:
    return 0.0 if point.of("process.pid") is None else 1.0


def _baseline_increase(arrived: Arrived, metric: str) -> float:
    """By the counter rule, for what is not critical: what each process used since the first scrape.

    A process first seen later counts from its birth when that was after the first scrape.
    """
    requests = arrived.requests("baseline")
    first = min(p.at for p in _points(requests[0]))
    last: dict[object, float] = {}
    total = 0.0
    for number, request in enumerate(requests[: SCRAPES - 1]):
        for p in _points(request):
            name = str(p.of("process.executable.name"))
            if p.metric != metric or name.startswith("phx-"):
                continue
            key = (p.of("process.pid"), p.attributes)
            if number and key in last:
                total += p.value - last[key]
            elif number and p.start > first - 1_000_000_000:
                total += p.value
            last[key] = p.value
    return total


def _folded_increase(arrived: Arrived, metric: str) -> float:
    starts = [min(p.at for p in _points(r)) for r in arrived.requests("baseline")]
    first: dict[object, float] = {}
    last: dict[object, float] = {}
    for p in arrived.points("aggregated"):
        if p.metric != metric or p.of("process.pid") is not None or p.at >= starts[SCRAPES - 1]:
            continue
        if p.at < starts[1]:
            first[p.attributes] = p.value
        last[p.attributes] = p.value
    return sum(last.values()) - sum(first.values())
