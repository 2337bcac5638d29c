"""A whole Phoenix in a data folder of its own, for stories: real processes, collector, database.

A story does what a person would do (the command line and the HTTP API) and what a bad day would do
(signals), and looks at what is left with the kernel's eyes and with its own connection to the
database.
"""

from __future__ import annotations

import asyncio
import contextlib
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

import httpx

from phoenix.host import proc
from phoenix.processes import state
from phoenix.storage.database import Database
from phoenix.storage.embedded import EmbeddedServer

ARMS = ("baseline", "candidate")
COLLECTORS = ("scraper", *ARMS)
FINAL = ("completed", "failed", "cancelled")
# The promise of the stop rule, not a measure of speed.
STOPS_WITHIN_S = 5.0


@dataclass
class Machine:
    """One Phoenix on this host, in a data folder of its own."""

    data_dir: Path

    # --- what a person does ---

    def command(self, *arguments: str) -> list[str]:
        """The command line for it."""
        return [sys.executable, "-m", "phoenix", *arguments]

    def environment(self) -> dict[str, str]:
        """With this data folder."""
        return {**os.environ, "PHOENIX_DATA_DIR": str(self.data_dir), "CI": "true"}

    def phoenix(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; it must end with that code."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def start(self, *more: str, candidate: str = "process-aggregated-v1") -> str:
        """Create a short experiment; returns its id."""
        answer = self.phoenix(
            "-o", "json", "experiment", "run", "--no-follow", "--candidate", candidate,
            "--warmup", "3", "--load", "realistic", *(more or ("--evidence", "25",
            "--coverage-margin", "0.3")),
        )  # fmt: skip
        return str(json.loads(answer.stdout)["id"])

    def show(self, experiment_id: str) -> dict[str, Any]:
        """An experiment as the API tells it; empty while the API or its database is away."""
        running = state.read(self.data_dir)
        if running is None:
            return {}
        url = f"http://127.0.0.1:{running.ports['api']}/api/v1/experiments/{experiment_id}"
        try:
            answer = httpx.get(url, timeout=3, trust_env=False)
        except httpx.HTTPError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def until(
        self, experiment_id: str, wanted: Callable[[dict[str, Any]], bool], within_s: float = 120
    ) -> dict[str, Any]:
        """Look at an experiment until it is as wanted."""
        last: dict[str, Any] = {}

        def as_wanted() -> bool:
            nonlocal last
            last = self.show(experiment_id) or last
            return bool(last) and wanted(last)

        wait_until(as_wanted, within_s, lambda: f"{json.dumps(last)[:3000]}\n{self.words()}")
        return last

    def until_ticks(self, experiment_id: str, more: int = 1) -> int:
        """Until so many more ticks are evidence; returns how many are."""
        before: int | None = None

        def grown(found: dict[str, Any]) -> bool:
            nonlocal before
            assert found["state"] not in FINAL, f"{found}\n{self.words()}"
            ticks = found["live"].get("ticks")
            if ticks is not None and before is None:
                before = int(ticks)
            return ticks is not None and before is not None and ticks >= before + more

        return int(self.until(experiment_id, grown)["live"]["ticks"])

    def until_final(self, experiment_id: str, within_s: float = 120) -> dict[str, Any]:
        """Until nothing follows."""
        return self.until(experiment_id, lambda e: e["state"] in FINAL, within_s)

    # --- what can be seen ---

    def rows(self, sql: str, experiment_id: str) -> list[dict[str, Any]]:
        """Ask the database; `%(id)s` in the query is the experiment."""

        async def ask() -> list[dict[str, Any]]:
            database = Database(EmbeddedServer(self.data_dir).dsn, pool_max=1)
            await database.open()
            try:
                async with database.transaction() as tx:
                    return await tx.fetch_all(sql, {"id": experiment_id})
            finally:
                await database.close()

        return asyncio.run(ask())

    def members(self, experiment_id: str) -> dict[str, dict[str, Any]]:
        """What the agent said last about the collectors of a shadow."""
        found = self.rows("SELECT status FROM shadows WHERE experiment_id = %(id)s", experiment_id)
        return dict((found[0]["status"] or {}).get("members", {})) if found else {}

    def collectors(self, experiment_id: str) -> dict[str, int]:
        """The collectors of a shadow that run now, as the kernel sees them."""
        folder = self.data_dir / "run" / experiment_id
        found = {}
        for pid, command in self.processes().items():
            for name in COLLECTORS:
                if command.endswith(f"--config {folder / name}.yaml") and "tether" not in command:
                    found[name] = pid
        return found

    def processes(self) -> dict[int, str]:
        """Every living process of this Phoenix: its parts, its database, collectors and load."""
        mine = str(self.data_dir)
        found = {}
        for pid in proc.pids():
            said = " ".join(proc.command_line(pid) or ())
            if pid != os.getpid() and proc.state(pid) != "Z" and mine in said + _marks(pid):
                found[pid] = said
        return found

    def descendants(self, ancestor: int) -> set[int]:
        """The children of a process, and theirs."""
        parents = {pid: proc.parent(pid) for pid in proc.pids()}
        found = [ancestor]
        for one in found:
            found.extend(pid for pid, parent in parents.items() if parent == one)
        return set(found[1:])

    def part(self, name: str) -> state.Member:
        """One part, as the supervisor tells it."""
        running = state.read(self.data_dir)
        assert running is not None, "Phoenix is up"
        return next(member for member in running.members if member.name == name)

    def words(self) -> str:
        """The end of every log, for a story that goes wrong."""
        logs = sorted((self.data_dir / "logs").rglob("*.log"))
        return "\n".join(
            f"--- {log.name}\n{log.read_text('utf-8', 'replace')[-1200:]}" for log in logs
        )

    # --- what a bad day does ---

    def sigkill(self, name: str) -> int:
        """SIGKILL one part; returns the process it was."""
        pid = self.part(name).pid
        assert pid is not None, f"{name} runs"
        os.kill(pid, signal.SIGKILL)
        return pid

    def database_processes(self) -> list[int]:
        """The database server and its backends."""
        server = self.part("postgres").pid
        assert server is not None, "the database runs"
        return [server, *(pid for pid in proc.pids() if proc.parent(pid) == server)]

    @contextlib.contextmanager
    def database_frozen(self) -> Iterator[None]:
        """While the database neither answers nor ends, as behind a network that is gone."""
        frozen = self.database_processes()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(frozen):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def until_restarted(self, name: str, was: int, within_s: float = 30) -> None:
        """Until a part runs again, as another process."""

        def again() -> bool:
            member = self.part(name)
            return member.state == "up" and member.pid not in (None, was) and member.alive()

        wait_until(again, within_s, lambda: f"{self.part(name)}\n{self.words()}")


def _marks(pid: int) -> str:
    """Executable, working folder and environment: a load hides behind another program's name."""
    place = Path(f"/proc/{pid}")
    found = []
    for name in ("exe", "cwd"):
        with contextlib.suppress(OSError):
            found.append(str((place / name).readlink()))
    with contextlib.suppress(OSError):
        found.append((place / "environ").read_text(errors="replace"))
    return " ".join(found)


def wait_until(
    done: Callable[[], bool], within_s: float, words: Callable[[], str] = lambda: ""
) -> None:
    """Look again and again; fail with those words when it does not come."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s} s\n{words()}"
        time.sleep(0.2)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return proc.state(pid) in (None, "Z")
