"""What each load costs its host: memory by PSS, CPU, births a second, time to start.

    .venv/bin/python bench/load.py [--profile NAME] [--count N] [--seconds S] [-o table|json]

Runs each profile with the built load program in a temporary folder, lets it settle, then reads the
kernel's figures over the window. PSS counts each shared page once over all processes, so its sum is
what the load really takes. The machine is part of the result; figures are not portable.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from phoenix.collectors import distribution
from phoenix.host import proc
from phoenix.load import service
from phoenix.load.model import LoadStatus
from phoenix.load.profiles import PROFILES, plan, profile

DATA_DIR = Path(__file__).resolve().parents[1] / ".phoenix"
MIB = 1 << 20


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


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    return {pid: used for pid in pids if (used := proc.cpu_seconds(pid)) is not None}


def host_busy_s() -> float:
    host = proc.host_cpu()
    assert host is not None, "Linux"
    return host.busy_s


def said(data_dir: Path) -> LoadStatus:
    status = service.status(data_dir)
    assert status is not None, "it runs"
    return status


def measure(name: str, count: int, seed: int, seconds: float, program: Path) -> dict[str, object]:
    """Start one load, watch it for `seconds`, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        (data_dir / "load").mkdir()
        (data_dir / "load" / "phoenix-load").symlink_to(program.resolve())
        idle_before = host_busy_s()
        time.sleep(2)
        idle_share = (host_busy_s() - idle_before) / 2
        wanted = plan(name, seed, count)
        begin = time.monotonic()
        load = service.start_detached(wanted, data_dir)
        start_s = time.monotonic() - begin
        try:
            time.sleep(5 if not wanted.births else 12)  # churn needs the longest life to settle
            pids = [each.pid for each in service.list_running(data_dir)]
            first, used, busy = said(data_dir), cpu_seconds(pids), host_busy_s()
            begin = time.monotonic()
            time.sleep(seconds)
            window_s = time.monotonic() - begin
            last, after, busy_after = said(data_dir), cpu_seconds(pids), host_busy_s()
            pids = [each.pid for each in service.list_running(data_dir)]
            pss = [size for pid in [*pids, load.pid] if (size := proc.pss_bytes(pid)) is not None]
            steady = sum(after[pid] - used[pid] for pid in after if pid in used)
        finally:
            begin = time.monotonic()
            service.stop(data_dir)
            stop_s = time.monotonic() - begin
    return {
        "profile": name,
        "planned": count,
        "live": len(pids),
        "start_s": round(start_s, 2),
        "stop_s": round(stop_s, 2),
        "pss_mib": round(sum(pss) / MIB, 1),
        "touched_mib": round(wanted.rss_bytes / MIB, 1),
        "births_per_s": round((last.started - first.started) / window_s, 1),
        "cpu_share_of_the_long_lived": round(steady / window_s, 3),
        "cpu_share_of_the_host": round((busy_after - busy) / window_s, 3),
        "cpu_share_of_the_host_before": round(idle_share, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=[each.name for each in PROFILES])
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    distribution.build(DATA_DIR)
    program = distribution.load_program(DATA_DIR)
    if asked.profile:
        cases = [(asked.profile, asked.count or profile(asked.profile).default)]
    else:
        cases = [(each.name, each.default) for each in PROFILES]
        cases.append(("high-cardinality", profile("high-cardinality").maximum))
    rows = [measure(name, count, asked.seed, asked.seconds, program) for name, count in cases]
    result = {"machine": machine(), "seed": asked.seed, "seconds": asked.seconds, "loads": rows}
    if asked.output == "json":
        print(json.dumps(result, indent=2, sort_keys=True))
        return
    table = Table(title=", ".join(f"{key} {value}" for key, value in machine().items()))
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right", overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
