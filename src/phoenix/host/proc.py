"""What the kernel says about processes and about the host (proc(5)).

A process may end between two reads, so every question about one answers None when it is gone or
when the kernel refuses: no number is ever made up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Positions in /proc/PID/stat, counted from the field after the name in parentheses (field 3).
_STATE, _PARENT, _UTIME, _STIME, _START, _RSS = 0, 1, 11, 12, 19, 21


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCpu:
    """CPU seconds of all cores since boot, from the first line of /proc/stat."""

    busy_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, by the pair that names it for good: its number and when it started."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        """Whether this very process still runs; a later one with the same number is another."""
        return start_ticks(self.pid) == self.start_ticks and state(self.pid) != "Z"


def pids() -> list[int]:
    """The numbers of all processes, ascending."""
    return sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def process(pid: int) -> Process | None:
    """The process which has the number `pid` now."""
    started = start_ticks(pid)
    return None if started is None else Process(pid=pid, start_ticks=started)


def cpu_seconds(pid: int) -> float | None:
    """User and system CPU seconds of `pid` since it started, without its children."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S


def rss_bytes(pid: int) -> int | None:
    """Resident bytes of `pid`; shared pages count in full."""
    fields = _stat(pid)
    return None if fields is None else int(fields[_RSS]) * _PAGE_BYTES


def pss_bytes(pid: int) -> int | None:
    """Proportional bytes of `pid`: each shared page counts for its part (smaps_rollup)."""
    text = _read(_PROC / str(pid) / "smaps_rollup")
    for line in (text or "").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks after boot: with the number it names one process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[_START])


def start_time(pid: int) -> float | None:
    """When `pid` started, in seconds of the Unix epoch, to a hundredth."""
    ticks, boot = start_ticks(pid), _boot_time()
    return None if ticks is None or boot is None else boot + ticks / _TICKS_PER_S


def state(pid: int) -> str | None:
    """One letter: R running, S sleeping, T stopped, Z ended but not yet collected, ..."""
    fields = _stat(pid)
    return None if fields is None else fields[_STATE]


def parent(pid: int) -> int | None:
    """The number of the parent of `pid`."""
    fields = _stat(pid)
    return None if fields is None else int(fields[_PARENT])


def name(pid: int) -> str | None:
    """The kernel's name of `pid`: at most 15 bytes of its executable's name."""
    text = _read(_PROC / str(pid) / "comm")
    return None if text is None else text.rstrip("\n")


def command_line(pid: int) -> tuple[str, ...] | None:
    """The arguments `pid` was started with; empty for kernel threads."""
    text = _read(_PROC / str(pid) / "cmdline")
    return None if text is None else tuple(text.rstrip("\0").split("\0")) if text else ()


def executable(pid: int) -> str | None:
    """The path of the file that `pid` executes."""
    try:
        return str((_PROC / str(pid) / "exe").readlink())
    except OSError:
        return None


def host_cpu() -> HostCpu | None:
    """CPU seconds of the host since boot: busy is all but idle and waiting for disks."""
    text = _read(_PROC / "stat")
    if text is None:
        return None
    # user nice system idle iowait irq softirq steal; guest time is already part of user.
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1:9]]
    total = sum(ticks)
    idle = sum(ticks[3:5])
    return HostCpu(busy_s=(total - idle) / _TICKS_PER_S, total_s=total / _TICKS_PER_S)


def host_memory_used_bytes() -> int | None:
    """Bytes in use on the host: MemTotal less MemAvailable."""
    amounts = _meminfo()
    total, available = amounts.get("MemTotal"), amounts.get("MemAvailable")
    return None if total is None or available is None else total - available


def host_memory_total_bytes() -> int | None:
    """Bytes of memory of the host."""
    return _meminfo().get("MemTotal")


def _meminfo() -> dict[str, int]:
    lines = (_read(_PROC / "meminfo") or "").splitlines()
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {key: int(value.split()[0]) * 1024 for key, value in pairs}


def _boot_time() -> int | None:
    for line in (_read(_PROC / "stat") or "").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    return None


def _stat(pid: int) -> list[str] | None:
    text = _read(_PROC / str(pid) / "stat")
    # The name may hold spaces and parentheses itself: the last one ends it.
    return None if text is None else text.rpartition(")")[2].split()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
