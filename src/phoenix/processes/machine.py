"""What a person does with the Phoenix of one machine: bring it up, take it down, look at it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phoenix.base.errors import Invalid
from phoenix.host import tether
from phoenix.processes import logs, state
from phoenix.processes.state import Running
from phoenix.processes.supervisor import READY_WITHIN_S, STOP_WITHIN_S, DidNotStart, already_running

_POLL_S = 0.1
# Any of these shows that Phoenix wrote here.
_MADE_BY_US = ("pg/PG_VERSION", "lock", "bootstrap.lock", "collector/otelcol-phoenix")
_COMMAND = ("-m", "phoenix", "serve", "supervisor")


class NotOurs(Invalid):
    """That folder was not made by Phoenix."""


@dataclass(frozen=True, slots=True)
class Tethered:
    """A Phoenix that ends with this process."""

    process: subprocess.Popen[bytes]
    running: Running

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, by role."""
        return dict(self.running.ports)

    def stop(self) -> None:
        """End it and wait."""
        tether.end(self.process, within_s=STOP_WITHIN_S + 4)


def up_detached(data_dir: Path) -> Running:
    """Start Phoenix and leave it running.

    Raises:
        PhoenixAlreadyUp: it is up already.
        DidNotStart: it was not ready in time; the message holds the end of its log.
    """

    def start() -> subprocess.Popen[bytes]:
        with _log(data_dir).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *_COMMAND],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(data_dir),
                start_new_session=True,
            )

    return _started(data_dir, start)[1]


def up_tethered(data_dir: Path) -> Tethered:
    """Start Phoenix as a child that ends with this process, however this process ends.

    Raises:
        PhoenixAlreadyUp: it is up already.
        DidNotStart: it was not ready in time; the message holds the end of its log.
    """

    def start() -> subprocess.Popen[bytes]:
        with _log(data_dir).open("ab") as log:
            return tether.spawn(
                [sys.executable, *_COMMAND],
                env=_environment(data_dir),
                stdout=log,
                stderr=log,
                on_parent_death=signal.SIGTERM,
            )

    return Tethered(*_started(data_dir, start))


def refuse_when_up(data_dir: Path) -> None:
    """One Phoenix a data directory.

    Raises:
        PhoenixAlreadyUp: with where it answers and how to end it.
    """
    if status(data_dir) is not None:
        raise already_running(data_dir)


def down(data_dir: Path, *, purge: bool = False) -> bool:
    """End the Phoenix of this data directory; with `purge`, remove the directory too.

    Returns whether one was running. What the supervisor started ends with it.

    Raises:
        NotOurs: the directory to remove was not made by Phoenix.
    """
    if purge:
        _refuse_what_is_not_ours(data_dir)
    running = state.read(data_dir)
    was_up = running is not None and running.alive()
    if was_up:
        assert running is not None
        os.kill(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S + 4
        while running.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if running.alive():
            os.kill(running.pid, signal.SIGKILL)
    state.remove(data_dir)
    if purge:
        remove_all(data_dir)
    return was_up


def _refuse_what_is_not_ours(folder: Path) -> None:
    """A data directory named by mistake must not cost anybody their files."""
    folder = folder.resolve()
    if not folder.exists():
        return
    ours = any((folder / name).exists() for name in _MADE_BY_US)
    forbidden = folder in (Path("/"), Path.home().resolve(), *Path.cwd().resolve().parents)
    if forbidden or (folder / ".git").exists() or not ours:
        raise NotOurs(
            f"{folder} does not look like a data folder of Phoenix; nothing was deleted.",
            remedy="Check PHOENIX_DATA_DIR and --data-dir, or delete it yourself.",
        )


def status(data_dir: Path) -> Running | None:
    """Who runs here; None when nobody does."""
    running = state.read(data_dir)
    return running if running is not None and running.alive() else None


def remove_all(folder: Path) -> None:
    """Delete a folder with everything below it, read-only files of module caches included."""
    if not folder.exists():
        return

    def writable_then_again(function: Callable[[str], object], path: str, _info: object) -> None:
        Path(path).parent.chmod(stat.S_IRWXU)
        if not Path(path).is_symlink():
            Path(path).chmod(stat.S_IRWXU)
        function(path)

    shutil.rmtree(folder, onerror=writable_then_again)


def _started(
    data_dir: Path, start: Callable[[], subprocess.Popen[bytes]]
) -> tuple[subprocess.Popen[bytes], Running]:
    refuse_when_up(data_dir)
    state.remove(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    process = start()
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        running = state.read(data_dir)
        if running is not None and running.pid == process.pid and running.ready:
            return process, running
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    ended = process.poll() is not None
    if not ended:
        tether.end(process, within_s=STOP_WITHIN_S + 4)
    said = logs.tail(_log(data_dir))
    raise DidNotStart(
        f"Phoenix {'ended at start' if ended else 'was not ready in time'}; its log says:\n{said}",
        remedy=f"Logs of every part are in {data_dir / 'logs'}.",
    )


def _log(data_dir: Path) -> Path:
    folder = data_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "supervisor.log"


def _environment(data_dir: Path) -> dict[str, str]:
    return {**os.environ, "PHOENIX_DATA_DIR": str(data_dir.resolve())}
