"""Keeps the parts of one machine up: PostgreSQL first, then one process a role.

It starts what is not running, waits longer after each crash (1, 2, 4 … 30 s, forgotten after a
minute of health), and writes who runs into the state file. Every child is tethered: when the
supervisor ends in any way, SIGKILL included, its children end too. A second supervisor over the
same data is refused by a lock on a file, which the kernel releases whatever happens.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

from phoenix.base.clock import SystemClock, rfc3339
from phoenix.base.errors import Conflict, Unavailable
from phoenix.host import ports, proc, tether
from phoenix.processes import logs, state
from phoenix.processes.state import Member, Running
from phoenix.settings import Settings
from phoenix.storage import migrate
from phoenix.storage.embedded import EmbeddedServer
from phoenix.storage.errors import EmbeddedServerFailed

ROLES = ("ledger", "meter", "agent", "controller", "api")
POLL_S = 0.2
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
HEALTHY_AFTER_S = 60.0
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 8.0
_READY_PATHS = {"api": "/ready", "meter": "/health"}

log = structlog.get_logger()

Command = Callable[[str], list[str]]


class PhoenixAlreadyUp(Conflict):
    """Phoenix is already up here."""


class DidNotStart(Unavailable):
    """Phoenix could not be started."""


def role_command(role: str) -> list[str]:
    """How a role is started."""
    return [sys.executable, "-m", "phoenix", "serve", role]


@dataclass(slots=True)
class _Child:
    """One role and its present process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    crashes_in_a_row: int = 0
    start_not_before: float = 0.0
    ready: bool = False
    last_exit: str | None = None
    log: IO[bytes] | None = field(default=None, repr=False)

    def member(self) -> Member:
        pid = self.process.pid if self.process else None
        return Member(
            name=self.name,
            pid=pid,
            start_ticks=proc.start_ticks(pid) if pid else None,
            state="waiting" if pid is None else "up" if self.ready else "starting",
            restarts=self.restarts,
            last_exit=self.last_exit,
        )


class Supervisor:
    """One machine's Phoenix; `run` returns when it was asked to end."""

    def __init__(
        self,
        settings: Settings,
        *,
        roles: tuple[str, ...] = ROLES,
        command: Command = role_command,
    ) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir
        self._children = [_Child(name) for name in roles]
        self._command = command
        self._stopping = False
        self._started_at = rfc3339(SystemClock().now())
        self._server: EmbeddedServer | None = None
        self._was_ready = False
        self._database_not_before = 0.0
        self._written: Running | None = None

    def run(self) -> int:
        """Keep everything up until SIGTERM or SIGINT.

        Raises:
            PhoenixAlreadyUp: another supervisor holds the lock.
            DidNotStart: the database or its schema could not be brought up.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._stop)
            try:
                self._publish()
                environment = self._start_database()
                while not self._stopping:
                    self._tend(environment)
                    self._publish()
                    time.sleep(POLL_S)
            finally:
                self._end()
                state.remove(self._data_dir)
        return 0

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _lock(self) -> IO[bytes]:
        handle = (self._data_dir / "lock").open("ab")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise already_running(self._data_dir) from error
        return handle

    def _start_database(self) -> Mapping[str, str]:
        environment = {**os.environ, **self._settings.environment()}
        if self._settings.database_is_embedded:
            self._server = EmbeddedServer(self._data_dir)
            self._server.start()
            environment["DATABASE_URL"] = self._server.dsn
        migrate.apply(environment["DATABASE_URL"])
        return environment

    def _tend(self, environment: Mapping[str, str]) -> None:
        now = time.monotonic()
        if self._server is not None and not self._server.is_running():
            self._restart_database(self._server, now)
        for child in self._children:
            self._tend_child(child, environment, now)

    def _restart_database(self, server: EmbeddedServer, now: float) -> None:
        """Start it again; roles wait for it by themselves, nothing else has to be restarted."""
        if now < self._database_not_before:
            return
        try:
            server.start()
        except EmbeddedServerFailed as error:
            log.error("the database does not start", error=error.message)
            self._database_not_before = time.monotonic() + BACKOFF_S[-1]

    def _tend_child(self, child: _Child, environment: Mapping[str, str], now: float) -> None:
        if child.process is not None and child.process.poll() is not None:
            child.last_exit = _how_it_ended(child.process.returncode)
            child.process, child.ready = None, False
            healthy = now - child.started_at > HEALTHY_AFTER_S
            child.crashes_in_a_row = 0 if healthy else child.crashes_in_a_row + 1
            step = min(max(child.crashes_in_a_row, 1), len(BACKOFF_S)) - 1
            child.start_not_before = now + BACKOFF_S[step]
            child.restarts += 1
        if child.process is None and now >= child.start_not_before:
            child.log = logs.reopened(child.log, self._data_dir / "logs" / f"{child.name}.log")
            child.process = tether.spawn(
                self._command(child.name), env=environment, stdout=child.log, stderr=child.log
            )
            child.started_at = now
        elif child.process is not None and not child.ready:
            child.ready = self._answers(child.name, child.process.pid)

    def _answers(self, role: str, pid: int) -> bool:
        path = _READY_PATHS.get(role)
        if path is None:
            return True
        port = self._settings.ports[role]
        if not ports.listens(pid, port):  # the answer would be somebody else's
            return False
        url = f"http://127.0.0.1:{port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=0.5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _publish(self) -> None:
        members = [child.member() for child in self._children]
        if self._server is not None:
            members.insert(0, self._server_member(self._server))
        self._was_ready = self._was_ready or all(m.state == "up" for m in members)
        running = Running(
            pid=os.getpid(),
            start_ticks=proc.start_ticks(os.getpid()) or 0,
            started_at=self._started_at,
            ready=self._was_ready and bool(members) and self._database_is_up(),
            ports=dict(self._settings.ports),
            database="embedded" if self._settings.database_is_embedded else "external",
            members=tuple(members),
        )
        if running != self._written:
            state.write(self._data_dir, running)
            self._written = running

    def _database_is_up(self) -> bool:
        return not self._settings.database_is_embedded or self._server is not None

    def _server_member(self, server: EmbeddedServer) -> Member:
        pid = server.pid
        return Member(
            name="postgres",
            pid=pid,
            start_ticks=proc.start_ticks(pid) if pid else None,
            state="up" if server.is_running() else "waiting",
            restarts=server.restarts,
            last_exit=None,
        )

    def _end(self) -> None:
        # The API first, so that nobody is told half of it; the database last.
        living = [child for child in reversed(self._children) if child.process is not None]
        for child in living:
            assert child.process is not None
            child.process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in living:
            assert child.process is not None
            tether.end(child.process, within_s=max(0.1, deadline - time.monotonic()))
        if self._server is not None:
            self._server.stop()


def already_running(data_dir: Path) -> PhoenixAlreadyUp:
    """The refusal, with what runs and how to reach or end it."""
    found = state.read(data_dir)
    where = f" (api on http://127.0.0.1:{found.ports.get('api')})" if found else ""
    return PhoenixAlreadyUp(
        f"Phoenix is already up in {data_dir}{where}.",
        remedy="Use it, or end it with: phoenix down",
    )


def _how_it_ended(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
