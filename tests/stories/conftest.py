"""A Phoenix of its own for a module of stories: real processes, real collector, real database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phoenix.host import proc
from phoenix.processes import machine, state

CLONE = Path(__file__).parents[2]


@dataclass
class Machine:
    """One running Phoenix, spoken to as a person would: through its command line."""

    data_dir: Path

    def phoenix(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        done = subprocess.run(
            [sys.executable, "-m", "phoenix", *arguments],
            env={**os.environ, "PHOENIX_DATA_DIR": str(self.data_dir), "CI": "true"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def json(self, *arguments: str, ok: bool = True) -> Any:
        """Run a command and read its JSON answer."""
        return json.loads(self.phoenix("-o", "json", *arguments, ok=ok).stdout)

    def start(self, *more: str) -> str:
        """Create a short experiment; returns its id."""
        created = self.json(
            "experiment", "run", "--no-follow", "--warmup", "3", "--evidence", "25",
            "--coverage-margin", "0.3", "--load", "realistic", *more,
        )  # fmt: skip
        return str(created["id"])

    def until(
        self, experiment_id: str, wanted: Callable[[dict[str, Any]], bool], within_s: float = 120
    ) -> dict[str, Any]:
        """Poll an experiment until it is as wanted."""
        deadline = time.monotonic() + within_s
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            done = self.phoenix("-o", "json", "experiment", "show", experiment_id, ok=False)
            if done.returncode == 0:
                found = json.loads(done.stdout)
                if wanted(found):
                    return found
            time.sleep(0.5)
        raise AssertionError(f"not within {within_s} s; last: {json.dumps(found)[:3000]}")

    def kill(self, part: str) -> int:
        """SIGKILL one part; returns the process it was."""
        running = state.read(self.data_dir)
        assert running is not None
        member = next(m for m in running.members if m.name == part)
        assert member.pid is not None
        os.kill(member.pid, signal.SIGKILL)
        return member.pid

    def processes(self) -> list[tuple[int, str]]:
        """Every process whose executable lies in this data folder: collectors and load."""
        found = []
        for pid in proc.pids():
            path = proc.executable(pid) or ""
            config = " ".join(proc.command_line(pid) or ())
            if str(self.data_dir) in path or f"{self.data_dir}/run/" in config:
                found.append((pid, config))
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A Phoenix that is up."""
    data_dir = tmp_path_factory.mktemp("phoenix")
    for part in ("collector", "load"):
        (data_dir / part).mkdir()
    built = CLONE / ".phoenix" / "collector"
    for entry in built.iterdir():
        (data_dir / "collector" / entry.name).symlink_to(entry)
    program = (CLONE / ".phoenix" / "load" / "phoenix-load").resolve()
    (data_dir / "load" / "phoenix-load").write_bytes(program.read_bytes())
    (data_dir / "load" / "phoenix-load").chmod(0o755)
    made = Machine(data_dir)
    machine.up_detached(data_dir)
    yield made
    machine.down(data_dir)
