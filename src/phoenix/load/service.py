"""Start, list and stop a load; no server is needed for any of it.

A load belongs to a data folder, and one runs at a time. *Detached* it stays until it is stopped
(`phoenix load start`); *tethered* it ends with the process that started it, however that ends (the
agent). Either way nobody outlives the supervisor: the kernel sees to that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from phoenix.base.clock import Clock, SystemClock, rfc3339
from phoenix.host import proc, tether
from phoenix.load.errors import (
    AlreadyRunning,
    LoadNotRunning,
    LoadNotStarted,
    LoadProgramMissing,
)
from phoenix.load.files import Files
from phoenix.load.model import Load, LoadStatus, Plan, Running

# 2,000 processes start within about a second; a busy host may need many times that.
START_WITHIN_S = 60.0
# The supervisor itself gives its processes two seconds before it kills them.
_STOP_WITHIN_S = 4.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A load that this process started."""

    load: Load
    files: Files
    child: subprocess.Popen[bytes] | None  # None when detached: it is nobody's child


def start_detached(plan: Plan, data_dir: Path, *, clock: Clock | None = None) -> Load:
    """Start `plan` so that it stays when this process ends; answers when all of it runs.

    Raises:
        AlreadyRunning, LoadProgramMissing, LoadNotStarted.
    """
    return _start(plan, data_dir, tethered=False, clock=clock or SystemClock()).load


def start_tethered(plan: Plan, data_dir: Path, *, clock: Clock | None = None) -> Handle:
    """Start `plan` so that it ends with this process; answers when all of it runs.

    Call it from a thread that lives as long as the process (see phoenix.host.tether). To wait
    without blocking, use `launch` and ask `is_ready`.

    Raises:
        AlreadyRunning, LoadProgramMissing, LoadNotStarted.
    """
    return _start(plan, data_dir, tethered=True, clock=clock or SystemClock())


def launch(plan: Plan, data_dir: Path, *, tethered: bool, clock: Clock | None = None) -> Handle:
    """Begin to start `plan`; ask `is_ready` until it is.

    Raises:
        AlreadyRunning: one runs in this data folder.
        LoadProgramMissing: the load program is not built.
        LoadNotStarted: the files of the load cannot be written, or the program not be executed.
    """
    files = Files(data_dir)
    with files.only_one():
        if (present := _alive(files)) is not None:
            raise AlreadyRunning(
                f"A {present.profile} load of {present.count:,} processes is running already.",
                remedy="Run `phoenix load stop` first.",
            )
        if not os.access(files.program, os.X_OK):
            raise LoadProgramMissing(
                f"The load program is not at {files.program}.",
                remedy="Run `.venv/bin/python scripts/build.py`, which builds it.",
            )
        try:
            return _spawn(plan, files, tethered=tethered, clock=clock or SystemClock())
        except OSError as reason:
            files.forget()
            raise LoadNotStarted(
                f"The load could not be started: {reason}.",
                remedy=f"Check room and rights of {files.folder}.",
            ) from reason


def is_ready(handle: Handle) -> bool:
    """Whether all of the load runs.

    Raises:
        LoadNotStarted: it never will; what had been started was ended.
    """
    status = handle.files.read_status(handle.load.pid)
    if status is not None and status.phase == "ready":
        handle.files.plan.unlink(missing_ok=True)
        if status.failed == 0:
            return True
        end(handle)
        raise LoadNotStarted(
            f"The host started {status.started:,} of {status.started + status.failed:,} processes: "
            f"{status.last_error}.",
            remedy="Ask for fewer (`--count`), or raise the limit of processes (`ulimit -u`, or "
            "the pids limit of the container).",
        )
    if not _supervisor(handle.load).alive():
        said = _last_lines(handle.files.log)
        end(handle)
        raise LoadNotStarted(
            f"The load program ended at once: {said}",
            remedy="Run `phoenix load start` again; if it repeats, build it anew (`make clean`).",
        )
    return False


def end(handle: Handle) -> None:
    """Stop a load that this process started; fine if it ended already."""
    with handle.files.only_one():
        _end(handle.load, handle.files)
    if handle.child is not None:
        handle.child.wait()


def stop(data_dir: Path) -> Load:
    """Stop the load of `data_dir`, whoever started it; answers which one it was.

    Raises:
        LoadNotRunning: none runs; what an interrupted one left is removed.
    """
    files = Files(data_dir)
    with files.only_one():
        load = _alive(files)
        if load is None:
            files.forget()
            raise LoadNotRunning("No load is running.", remedy="Run `phoenix load start`.")
        _end(load, files)
    return load


def running(data_dir: Path) -> Load | None:
    """The load that runs in `data_dir` now."""
    return _alive(Files(data_dir))


def status(data_dir: Path) -> LoadStatus | None:
    """What the supervisor of the running load says, at most about a second old."""
    files = Files(data_dir)
    load = _alive(files)
    return None if load is None else files.read_status(load.pid)


def list_running(data_dir: Path) -> list[Running]:
    """The processes of the running load, by pid, as the kernel shows them; empty without one."""
    load = _alive(Files(data_dir))
    if load is None:
        return []
    children = (pid for pid in proc.pids() if proc.parent(pid) == load.pid)
    return [shown for pid in children if (shown := _shown(pid)) is not None]


def _start(plan: Plan, data_dir: Path, *, tethered: bool, clock: Clock) -> Handle:
    handle = launch(plan, data_dir, tethered=tethered, clock=clock)
    deadline = clock.monotonic() + START_WITHIN_S
    try:
        while not is_ready(handle):
            if clock.monotonic() > deadline:
                raise LoadNotStarted(
                    f"The load was not complete within {START_WITHIN_S:.0f} s.",
                    remedy="Ask for fewer processes, or wait until the host is less busy.",
                )
            time.sleep(_POLL_S)
    except BaseException:  # Ctrl-C too: a load is started whole or not at all
        end(handle)
        raise
    return handle


def _spawn(plan: Plan, files: Files, *, tethered: bool, clock: Clock) -> Handle:
    files.forget()
    files.write_plan(plan)
    argv = [str(files.program), "-bin-dir", str(files.bin_dir)]
    argv += ["-plan", str(files.plan), "-status", str(files.status)]
    with files.log.open("wb") as log:
        child = tether.spawn(argv, stdout=log, stderr=log) if tethered else None
        pid = _detached(argv, log) if child is None else child.pid
    started = proc.process(pid)
    load = Load(
        profile=plan.profile,
        seed=plan.seed,
        count=len(plan.processes),
        pid=pid,
        start_ticks=0 if started is None else started.start_ticks,  # 0: it ended already
        started_at=rfc3339(clock.now()),
        tethered=tethered,
    )
    files.write_state(load)
    return Handle(load=load, files=files, child=child)


# Its parent ends at once, so that it is the init process that collects it, not whoever started it.
_DETACH = """
import os, sys
pid = os.fork()
if pid:
    print(pid)
else:
    os.setsid()
    os.dup2(2, 1)
    os.execv(sys.argv[1], sys.argv[1:])
"""


def _detached(argv: list[str], log: IO[bytes]) -> int:
    """Start `argv` as nobody's child, in a session of its own; answers its pid."""
    wrapper = [sys.executable, "-I", "-S", "-c", _DETACH, *argv]
    answer = subprocess.run(
        wrapper, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, check=False
    )
    if answer.returncode != 0:
        raise OSError(_last_lines(Path(os.fsdecode(log.name))))
    return int(answer.stdout)


def _alive(files: Files) -> Load | None:
    load = files.read_state()
    if load is None:
        return None
    return load if _supervisor(load).alive() else None


def _supervisor(load: Load) -> proc.Process:
    return proc.Process(pid=load.pid, start_ticks=load.start_ticks)


def _end(load: Load, files: Files) -> None:
    """Ask the supervisor, then make it; then wait for the last of its processes."""
    supervisor = _supervisor(load)
    for number in (signal.SIGTERM, signal.SIGKILL):
        _send(supervisor, number)
        polls = round(_STOP_WITHIN_S / _POLL_S)
        while polls and (supervisor.alive() or _survivors(files)):
            polls -= 1
            time.sleep(_POLL_S)
        if not supervisor.alive():
            break
    files.forget()


def _send(process: proc.Process, number: int) -> None:
    """Signal this very process: the descriptor is taken first, so a reused pid is never hit."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive():
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _survivors(files: Files) -> bool:
    """Whether a process still runs from our folder; the kernel may need a moment for many."""
    folder = f"{files.bin_dir}/"
    return any((proc.executable(pid) or "").startswith(folder) for pid in proc.pids())


def _shown(pid: int) -> Running | None:
    executable = proc.executable(pid)
    name = proc.name(pid) if executable is None else Path(executable).name
    line, cpu_s, rss_bytes = proc.command_line(pid), proc.cpu_seconds(pid), proc.rss_bytes(pid)
    if name is None or line is None or cpu_s is None or rss_bytes is None:
        return None  # it ended meanwhile
    return Running(name=name, pid=pid, command_line=line, cpu_s=cpu_s, rss_bytes=rss_bytes)


def _last_lines(log: Path) -> str:
    try:
        return " ".join(log.read_text(errors="replace").splitlines()[-5:])
    except OSError:
        return "nothing was said"
