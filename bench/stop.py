"""How long the stop rule takes: from the kill, or the loss, to the end of what must end.

    python bench/stop.py [--rounds 5] [-o table|json]

Runs a whole Phoenix in a folder of its own with a load of real processes and one long experiment.
Each round kills and revives, and freezes the database (SIGSTOP) until the candidate has ended. At
the end the agent and the supervisor get SIGKILL once each. Times are seen by polling every 20 ms;
a kill counts from the moment its file is on disk. The promise is 5 s each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from phoenix.collectors import distribution
from phoenix.processes import machine, state
from phoenix.safety import file
from phoenix.testing.machine import Machine, gone, wait_until

BUILT = Path(__file__).resolve().parents[1] / ".phoenix"
POLL_S = 0.02


def prepared(folder: Path) -> Machine:
    """A folder with what is built, and a Phoenix that is up."""
    distribution.build(BUILT)
    for name in ("collector", "load"):
        (folder / name).mkdir(parents=True)
        for entry in (BUILT / name).iterdir():
            if entry.name != "lock":
                (folder / name / entry.name).symlink_to(entry.resolve())
    made = Machine(folder)
    made.phoenix("up")
    return made


def seconds_until(ended: Iterable[int], since: float, within_s: float = 20) -> float:
    """From `since` until every process has ended."""
    waiting = set(ended)
    while waiting:
        assert time.monotonic() - since < within_s, f"still there: {waiting}"
        time.sleep(POLL_S)
        waiting = {pid for pid in waiting if not gone(pid)}
    return round(time.monotonic() - since, 2)


def candidate(phoenix: Machine, experiment: str, beside: int = 0) -> int:
    """The candidate at work, as another process than `beside`."""
    wait_until(lambda: phoenix.collectors(experiment).get("candidate", beside) != beside, 60)
    time.sleep(2)
    return phoenix.collectors(experiment)["candidate"]


def killed(phoenix: Machine, experiment: str) -> float:
    """`phoenix kill`, then revive."""
    pid = candidate(phoenix, experiment)
    command = phoenix.command("kill", "--reason", "a measurement")
    with subprocess.Popen(command, env=phoenix.environment(), stdout=subprocess.DEVNULL) as killing:
        while not ((kept := file.read(phoenix.data_dir)) and kept.state.killed):
            time.sleep(POLL_S / 4)
        took = seconds_until([pid], time.monotonic())
        assert killing.wait() == 0
    phoenix.phoenix("revive", "--reason", "measured")
    candidate(phoenix, experiment, beside=pid)
    return took


def frozen(phoenix: Machine, experiment: str) -> float:
    """The database answers nothing until the candidate has ended."""
    pid = candidate(phoenix, experiment)
    with phoenix.database_frozen():
        took = seconds_until([pid], time.monotonic())
    candidate(phoenix, experiment, beside=pid)
    return took


def agent_gone(phoenix: Machine, experiment: str) -> float:
    """SIGKILL of the agent: its collectors and its load."""
    old = candidate(phoenix, experiment)
    agent = phoenix.part("agent").pid
    assert agent is not None
    family = phoenix.descendants(agent)
    phoenix.sigkill("agent")
    took = seconds_until(family, time.monotonic())
    candidate(phoenix, experiment, beside=old)
    return took


def supervisor_gone(phoenix: Machine) -> float:
    """SIGKILL of the supervisor: everything, PostgreSQL included."""
    running = state.read(phoenix.data_dir)
    assert running is not None
    everything = set(phoenix.processes()) - {running.pid}
    os.kill(running.pid, signal.SIGKILL)
    return seconds_until(everything, time.monotonic())


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    phoenix = prepared(folder)
    try:
        made = phoenix.start("--evidence", "100000", "--coverage-margin", "0.001")
        phoenix.until(made, lambda e: e["state"] == "running")
        return {
            "kill": [killed(phoenix, made) for _ in range(rounds)],
            "database frozen": [frozen(phoenix, made) for _ in range(rounds)],
            "agent SIGKILL": [agent_gone(phoenix, made)],
            "supervisor SIGKILL": [supervisor_gone(phoenix)],
        }
    finally:
        machine.down(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder) / "data", asked.rounds)
    host = {"cores": os.cpu_count(), "kernel": platform.release()}
    result: dict[str, Any] = {"host": host, "seconds": times}
    if asked.output == "json":
        print(json.dumps(result, indent=2))
        return
    table = Table("what", "rounds", "shortest", "longest", title=f"Seconds until it ended, {host}")
    for what, found in times.items():
        table.add_row(what, str(len(found)), f"{min(found):.2f}", f"{max(found):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
