"""One collector process: started, watched, started again, ended. Its crash is its own.

Configurations hold no port and no secret; both come through the environment, so that the bytes of a
configuration are the same wherever it runs. Readiness is the collector's own telemetry answering,
since it serves only after every component has started.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from phoenix.collectors import rules
from phoenix.collectors.model import MemberState, MemberStatus
from phoenix.host import proc, tether
from phoenix.host.ports import free_port, is_free

END_WITHIN_S = 1.0
READY_WITHIN_S = 20.0
FED_WITHIN_S = 20.0
LOG_BYTES_MAX = 5 * 1024 * 1024
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "HOST_PROC", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(slots=True)
class Member:
    """A collector that should run while it is allowed to."""

    name: str
    binary: Path
    config: Path
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    telemetry_port: int = 0
    memory_limit_mib: int = 512
    state: MemberState = "waiting"
    restarts: int = 0
    last_error: str | None = None
    started_at: datetime | None = None
    _process: subprocess.Popen[bytes] | None = None
    _since: float = 0.0
    _failures: int = 0
    _was_ready: bool = False
    _not_before: float = 0.0

    @property
    def pid(self) -> int | None:
        """Its process number while it runs."""
        return self._process.pid if self._process is not None else None

    def status(self) -> MemberStatus:
        """What others are told."""
        return MemberStatus(
            state=self.state,
            pid=self.pid,
            restarts=self.restarts,
            last_error=self.last_error,
            started_at=self.started_at,
        )

    def told_state(self, received_points: int | None) -> str:
        """The state as evidence needs it: an arm that was just started and has not been fed yet is
        still starting. After FED_WITHIN_S its silence is its own."""
        if self.state != "running" or received_points:
            return self.state
        return "starting" if time.monotonic() - self._since < FED_WITHIN_S else self.state

    def tend(self, now: datetime) -> None:
        """Bring it one step nearer to running; never blocks."""
        moment = time.monotonic()
        if self.state in ("paused", "stopped"):
            self.state = "waiting"
        if self._process is not None and self._process.poll() is not None:
            self._ended(moment)
        keep_within(self.log, LOG_BYTES_MAX)
        if self.state == "failed":
            return
        if self._process is None and moment >= self._not_before:
            self._start(now, moment)
        elif self.state == "starting":
            self._look(moment)

    def end(self, state: MemberState, within_s: float = END_WITHIN_S) -> None:
        """End the process and wait: SIGTERM, then SIGKILL."""
        if self._process is not None:
            # A stopped process (SIGSTOP) would take SIGTERM only after it is continued.
            self._process.send_signal(signal.SIGCONT)
            tether.end(self._process, within_s=within_s)
            self._process = None
        self._failures, self._not_before = 0, 0.0
        self.state = state

    def _start(self, now: datetime, moment: float) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if not is_free(self.telemetry_port):
            # Taken while nobody held it: an outgoing connection of anybody may have got it.
            self.telemetry_port = free_port()
        limit = self.memory_limit_mib * 1024 * 1024
        with self.log.open("ab") as log:
            self._process = tether.spawn(
                [str(self.binary), "--config", str(self.config)],
                env={
                    **{k: os.environ[k] for k in _PASSED_ON if k in os.environ},
                    # The runtime frees memory before the hard limit ends the process.
                    "GOMEMLIMIT": f"{self.memory_limit_mib * 8 // 10}MiB",
                    "PHOENIX_TELEMETRY_PORT": str(self.telemetry_port),
                    **self.environment,
                },
                stdout=log,
                stderr=log,
                cwd=self.config.parent,
                memory_limit_bytes=2 * limit,
            )
        self.started_at, self._since = now, moment
        self.state = "starting"

    def _look(self, moment: float) -> None:
        if listens(self.telemetry_port):
            self.state = "running"
            self._was_ready = True
        elif moment - self._since > READY_WITHIN_S:
            assert self._process is not None
            tether.end(self._process, within_s=END_WITHIN_S)
            self._ended(moment)

    def _ended(self, moment: float) -> None:
        assert self._process is not None
        code = self._process.returncode
        ran_well = self.state == "running" and moment - self._since > rules.HEALTHY_AFTER_S
        self._failures = 1 if ran_well else self._failures + 1
        self.last_error = f"{_how(code)}: {last_words(self.log)}"
        self._process = None
        self.restarts += 1
        never_ready = not self._was_ready and self._failures >= rules.FAILED_STARTS_MAX
        self.state = "failed" if never_ready else "waiting"
        self._not_before = moment + rules.backoff_s(self._failures)


def keep_within(log: Path, bytes_max: int) -> None:
    """Set a log that grew too long aside, over the one before, and let its writer begin anew.

    The writer appends, so it goes on at the new end; a line written meanwhile may be lost.
    """
    try:
        if log.stat().st_size > bytes_max:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
    except FileNotFoundError:
        return


def listens(port: int) -> bool:
    """Whether something answers on that loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def last_words(log: Path, lines: int = 3) -> str:
    """The last lines a process wrote, in one line."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 4096))
            said = handle.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "(no log)"
    return " | ".join(line.strip()[:300] for line in said[-lines:] if line.strip())


def use_of(pid: int | None) -> tuple[float | None, int | None]:
    """`(cpu_s, rss_bytes)` of a process; None for what cannot be read."""
    return (None, None) if pid is None else (proc.cpu_seconds(pid), proc.rss_bytes(pid))


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
