"""What measuring costs the host: CPU and memory of each part of a shadow while it runs.

    python bench/shadow.py [--processes 100 1000] [--interval 10 1] [--seconds 60] [-o table|json]

Runs the real thing for each case: a load of that many processes, the agent and the meter as
processes of their own over an embedded PostgreSQL, one scraper and two arms (process-baseline-v1
and process-aggregated-v1). After a warm-up of three scrapes, and ten seconds at least, each part's
CPU time is read from the kernel at both ends of the window; memory is the largest resident size
seen in it. A percentage is of one core. The scrape also reads the host's own processes: the column
`seen` says how many the baseline showed at the end. PostgreSQL is the sum of all its processes
(CPU of those that lived through the window; memory by PSS, since they share it). The machine is
part of the result; figures are not portable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from phoenix.base.canonical import sha256_hex
from phoenix.base.clock import SystemClock
from phoenix.collectors import distribution
from phoenix.collectors.model import SCRAPER, ShadowSpec
from phoenix.collectors.service import CollectorsService
from phoenix.experiments.deployment import own_paths
from phoenix.host import proc, tether
from phoenix.host.ports import free_port
from phoenix.measurement.model import ARMS, Arm, Subscription
from phoenix.measurement.service import MeasurementService
from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.storage.database import Database
from phoenix.testing.databases import TestServer

DATA_DIR = Path(__file__).resolve().parents[1] / ".phoenix"
ID = "exp-bench001"
MIB = 1 << 20
TOKENS: dict[Arm, str] = {"baseline": "one", "candidate": "two"}
PIPELINES: dict[Arm, str] = {
    "baseline": "process-baseline-v1",
    "candidate": "process-aggregated-v1",
}
COLLECTORS = (SCRAPER, *ARMS)
CLOCK = SystemClock()


def machine() -> dict[str, object]:
    """The host that the figures belong to."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round((proc.host_memory_total_bytes() or 0) / (1 << 30), 1),
        "kernel": platform.release(),
    }


def load_of(count: int) -> dict[str, Any]:
    """The profile that has that many processes."""
    return {"profile": "realistic" if count <= 200 else "high-cardinality", "seed": 1,
            "count": count}  # fmt: skip


@contextmanager
def phoenix(folder: Path, url: str, meter_port: int) -> Iterator[dict[str, int]]:
    """The agent and the meter at work; yields their process numbers."""
    for name in ("collector", "load"):
        (folder / name).mkdir(parents=True)
    built = DATA_DIR / "collector" / distribution.COLLECTOR
    (folder / "collector" / built.name).symlink_to(built.resolve())
    program = distribution.load_program(DATA_DIR)
    (folder / "load" / program.name).symlink_to(program.resolve())
    given = {
        **os.environ,
        "DATABASE_URL": url,
        "PHOENIX_DATA_DIR": str(folder),
        "PHOENIX_METER_PORT": str(meter_port),
    }
    with (folder / "roles.log").open("wb") as log:
        roles = {
            role: tether.spawn(
                [sys.executable, "-m", "phoenix", "serve", role], env=given, stdout=log, stderr=log
            )
            for role in ("meter", "agent")
        }
    try:
        yield {role: child.pid for role, child in roles.items()}
    finally:
        for child in reversed(roles.values()):
            tether.end(child, within_s=15)


def shadow(interval_s: float, count: int, meter_port: int) -> ShadowSpec:
    own = own_paths(DATA_DIR)
    scraper = render.scraper(
        catalog.load(PIPELINES["baseline"]), None, interval_s, ARMS, own, True
    ).config
    arms: dict[str, str] = {
        arm: render.arm(catalog.load(name), None, DEFAULT_CRITICAL, interval_s).config
        for arm, name in PIPELINES.items()
    }
    return ShadowSpec(
        experiment_id=ID,
        interval_s=interval_s,
        scraper=scraper,
        arms=arms,
        meter_url=f"http://127.0.0.1:{meter_port}",
        token_baseline=TOKENS["baseline"],
        token_candidate=TOKENS["candidate"],
        load=load_of(count),
        memory_limit_mib=512,
    )


async def measure(count: int, interval_s: float, seconds: float, folder: Path) -> dict[str, Any]:
    """Run one shadow and read what each part took over the window."""
    server = TestServer(folder / "pg")
    server.start()
    try:
        url, port = server.fresh(), free_port()
        database = Database(url, pool_max=2)
        await database.open()
        collectors, measured = (
            CollectorsService(database, CLOCK),
            MeasurementService(database, CLOCK),
        )
        with phoenix(folder / "data", url, port) as pids:
            async with database.transaction() as tx:
                await measured.subscribe(
                    tx,
                    Subscription(
                        experiment_id=ID,
                        interval_s=interval_s,
                        critical=DEFAULT_CRITICAL,
                        token_sha256={a: sha256_hex(t.encode()) for a, t in TOKENS.items()},
                        states=dict.fromkeys(ARMS, "alive"),
                        created_at=CLOCK.now(),
                    ),
                )
                await collectors.want(tx, shadow(interval_s, count, port))
            parts = {**pids, **await ready(collectors, folder)}
            await asyncio.sleep(max(10.0, 3 * interval_s))
            assert server.server.pid is not None
            window = await watch(parts, server.server.pid, seconds)
            ticks = [t for t in await measured.ticks(ID) if t.excluded is None]
            assert ticks, (folder / "data" / "roles.log").read_text()[-2000:]
            last = ticks[-1]
            assert last.baseline and last.candidate
            async with database.transaction() as tx:
                await collectors.stop(tx, ID)
            await stopped(collectors)
        await database.close()
    finally:
        server.stop()
    return {
        "load_processes": count,
        "interval_s": interval_s,
        "seen": last.baseline.processes,
        "points_per_scrape": {"baseline": last.baseline.points, "candidate": last.candidate.points},
        "paired_ticks": len(ticks),
        **window,
    }


async def ready(collectors: CollectorsService, folder: Path) -> dict[str, int]:
    for _ in range(600):
        status = await collectors.status(ID)
        if status is not None and status.phase == "ready":
            return {name: member.pid for name, member in status.members.items() if member.pid}
        assert status is None or status.phase != "failed", f"{status}"
        await asyncio.sleep(0.1)
    raise AssertionError((folder / "data" / "roles.log").read_text()[-2000:])


async def stopped(collectors: CollectorsService) -> None:
    for _ in range(200):
        status = await collectors.status(ID)
        if status is not None and status.phase == "stopped":
            return
        await asyncio.sleep(0.1)


async def watch(pids: dict[str, int], postmaster: int, seconds: float) -> dict[str, Any]:
    """CPU as a share of one core and the largest memory of each part."""
    used = {name: proc.cpu_seconds(pid) or 0.0 for name, pid in pids.items()}
    postgres = {pid: proc.cpu_seconds(pid) or 0.0 for pid in family(postmaster)}
    host, begin = proc.host_cpu(), time.monotonic()
    largest = dict.fromkeys(pids, 0)
    while time.monotonic() - begin < seconds:
        for name, pid in pids.items():
            largest[name] = max(largest[name], proc.rss_bytes(pid) or 0)
        await asyncio.sleep(0.5)
    window_s, host_after = time.monotonic() - begin, proc.host_cpu()
    assert host and host_after
    parts = {
        name: part((proc.cpu_seconds(pid) or 0.0) - used[name], window_s, largest[name])
        for name, pid in pids.items()
    }
    spent = sum(max(0.0, (proc.cpu_seconds(pid) or 0.0) - was) for pid, was in postgres.items())
    pss = sum(proc.pss_bytes(pid) or 0 for pid in family(postmaster))
    parts["postgresql"] = part(spent, window_s, pss)
    return {
        "window_s": round(window_s, 1),
        "parts": parts,
        "host_cpu_percent": round(100 * (host_after.busy_s - host.busy_s) / window_s, 1),
    }


def part(cpu_s: float, window_s: float, memory_bytes: int) -> dict[str, float]:
    return {
        "cpu_percent": round(100 * cpu_s / window_s, 2),
        "memory_mib": round(memory_bytes / MIB, 1),
    }


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *(one for one in proc.pids() if proc.parent(one) == pid)]


def show(result: dict[str, Any]) -> None:
    table = Table(title=", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    names = [*COLLECTORS, "meter", "agent", "postgresql"]
    for column in ("load", "interval", "seen", "points", *names, "all"):
        table.add_column(column, justify="right")
    for row in result["cases"]:
        parts = row["parts"]
        points = row["points_per_scrape"]
        table.add_row(
            str(row["load_processes"]),
            f"{row['interval_s']:g} s",
            str(row["seen"]),
            f"{points['baseline']}\n{points['candidate']}",
            *(f"{parts[n]['cpu_percent']:.2f} %\n{parts[n]['memory_mib']:.0f} MiB" for n in names),
            f"{sum(p['cpu_percent'] for p in parts.values()):.2f} %\n"
            f"{sum(p['memory_mib'] for p in parts.values()):.0f} MiB",
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--interval", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    distribution.build(DATA_DIR)
    cases = []
    for interval_s in asked.interval:
        for count in asked.processes:
            with tempfile.TemporaryDirectory() as folder:
                cases.append(asyncio.run(measure(count, interval_s, asked.seconds, Path(folder))))
    result = {"machine": machine(), "pipelines": PIPELINES, "cases": cases}
    if asked.output == "json":
        print(json.dumps(result, indent=2, sort_keys=True))
    else:
        show(result)


if __name__ == "__main__":
    main()
