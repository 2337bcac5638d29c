"""The meter behind real collectors: one scrape of this host, two arms, ticks in PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from phoenix.base.clock import SystemClock
from phoenix.measurement.meter import Meter
from phoenix.measurement.model import Subscription, Tick
from phoenix.measurement.server import server
from phoenix.measurement.service import MeasurementService, token_sha256
from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import parse
from phoenix.storage.database import Database

COLLECTOR = Path(
    os.environ.get("PHOENIX_COLLECTOR_BINARY")
    or Path(__file__).parents[2] / ".phoenix" / "collector" / "otelcol-phoenix"
)
ID = "exp-collect1"
CRITICAL = (parse("regex:^python"),)
OWN = (f"{COLLECTOR.resolve().parent}/",)
SECRET = "hunter2-in-a-command-line"
BURN = "import time\ne = time.monotonic() + 8\nwhile time.monotonic() < e: time.sleep(0.001)"

pytestmark = [pytest.mark.collector, pytest.mark.database]


@pytest.fixture
def database(run: asyncio.Runner, fresh_database_url: str) -> Iterator[Database]:
    made = Database(fresh_database_url)
    run.run(made.open())
    yield made
    run.run(made.close())


def _ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _start(folder: Path, name: str, text: str, **given: str) -> subprocess.Popen[bytes]:
    file = folder / f"{name}.yaml"
    file.write_text(text)
    environment = {**os.environ, "PHOENIX_REDACTION_SALT": "0badc0de", **given}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [COLLECTOR.resolve(), "--config", file], env=environment, stdout=log, stderr=log
        )


def _burn() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BURN, SECRET])


async def _ticks(database: Database, meter_port: int, folder: Path) -> list[Tick]:
    grpc_b, grpc_c, own_b, own_c, own_s = _ports(5)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for arm, pipeline, port, own_port in (
            ("baseline", "process-baseline-v1", grpc_b, own_b),
            ("candidate", "process-aggregated-v1", grpc_c, own_c),
        ):
            text = render.arm(catalog.load(pipeline), None, CRITICAL, 1, own_paths=OWN).config
            processes.append(
                _start(
                    folder, arm, text,
                    PHOENIX_OTLP_LISTEN=f"127.0.0.1:{port}",
                    PHOENIX_METER_ENDPOINT=f"http://127.0.0.1:{meter_port}/{ID}/{arm}",
                    PHOENIX_METER_TOKEN=f"token-{arm}",
                    PHOENIX_TELEMETRY_PORT=str(own_port),
                )
            )  # fmt: skip
        await asyncio.sleep(1.5)
        text = render.scraper(
            catalog.load("process-baseline-v1"), None, 1, ["baseline", "candidate"], OWN, True
        ).config
        processes.append(
            _start(
                folder, "scraper", text,
                PHOENIX_BASELINE_ENDPOINT=f"127.0.0.1:{grpc_b}",
                PHOENIX_CANDIDATE_ENDPOINT=f"127.0.0.1:{grpc_c}",
                PHOENIX_TELEMETRY_PORT=str(own_s),
            )
        )  # fmt: skip
        processes.append(_burn())
        service = MeasurementService(database, SystemClock())
        ticks: list[Tick] = []
        for _ in range(60):
            await asyncio.sleep(0.5)
            ticks = await service.ticks(ID)
            if len(ticks) >= 8:
                break
        return ticks
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()


def test_both_arms_of_one_scrape_pair_cover_and_conserve(
    run: asyncio.Runner, database: Database, tmp_path: Path
) -> None:
    async def story() -> list[Tick]:
        service = MeasurementService(database, SystemClock())
        async with database.transaction() as tx:
            await service.subscribe(
                tx,
                Subscription(
                    experiment_id=ID,
                    interval_s=1.0,
                    critical=CRITICAL,
                    token_sha256={
                        "baseline": token_sha256("token-baseline"),
                        "candidate": token_sha256("token-candidate"),
                    },
                    states={},
                    created_at=datetime(2026, 1, 1, tzinfo=UTC),
                ),
            )
        meter = Meter(database, SystemClock())
        serving = server(meter, host="127.0.0.1", port=0)
        stop = asyncio.Event()
        tasks = [asyncio.create_task(meter.run(stop)), asyncio.create_task(serving._serve())]
        while not serving.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.01)
        try:
            port = serving.servers[0].sockets[0].getsockname()[1]
            return await _ticks(database, port, tmp_path)
        finally:
            serving.should_exit = True
            stop.set()
            await asyncio.gather(*tasks)

    ticks = run.run(story())
    log = "\n".join(path.read_text()[-2000:] for path in tmp_path.glob("*.log"))
    assert len(ticks) >= 8, log
    paired = [tick for tick in ticks if tick.excluded is None]
    assert len(paired) >= 7
    assert [t.tick for t in ticks] == list(range(ticks[0].tick, ticks[0].tick + len(ticks)))
    for tick in paired:
        assert tick.baseline and tick.candidate
        assert tick.critical_baseline == tick.critical_candidate > 0
        assert tick.missing == ()
        for metric in ("process.memory.usage", "process.memory.virtual"):
            assert tick.candidate.levels[metric] == tick.baseline.levels[metric]
        assert tick.candidate.levels["process.count"] == tick.baseline.levels["process.count"]
        assert tick.candidate.duplicates == tick.baseline.duplicates == 0
        assert tick.candidate.late == tick.baseline.late == 0
    # The conversion to increments needs two scrapes, so the first ones are not compared.
    used = dict.fromkeys(("baseline", "candidate"), 0.0)
    for tick in paired[2:]:
        assert tick.baseline and tick.candidate
        assert tick.baseline.increments and tick.candidate.increments
        used["baseline"] += tick.baseline.increments["process.cpu.time"]
        used["candidate"] += tick.candidate.increments["process.cpu.time"]
    assert used["candidate"] == pytest.approx(used["baseline"], rel=0.01, abs=0.02)
    assert SECRET not in repr(ticks)
