"""A made-up host whose scrapes can be had at any speed: births, exits, execs, restarts and hogs.

The same seed gives the same scrapes. Times are those of the data, so an hour of them takes as long
as it takes to read them. Pids are used again, a restarted service keeps its name, an exec keeps pid
and start, and hogs burn a third of a core or fill memory for a few scrapes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from phoenix.testing.otlp import FakeProcess, collector_bytes

START_NS = 1_800_000_000_000_000_000
MEMORY_BYTES = 16 << 30
"""Of the host."""
_SERVICES = (
    "nginx", "nginx", "postgres", "postgres", "redis-server", "java", "sshd", "systemd-journald",
    "dockerd", "cron", "node", "gunicorn", "python3", "rsyslogd", "polkitd",
)  # fmt: skip
_BRIEF = ("sh", "git", "cc1", "make", "python3", "curl", "grep")
_AFTER_EXEC = ("java", "rsync", "node", "sleep")
_HOGS = ("ffmpeg", "xz", "clamscan", "duckdb")
_PIDS = 4_000  # few enough that they come round


@dataclass(slots=True)
class _Life:
    process: FakeProcess
    cores: float
    left: int  # scrapes until it ends; restarts if it is a service
    service: bool


class Host:
    """Tells one scrape after the other.

    Args:
        processes: how many services there are.
        births, execs: of brief processes, and of any, at each scrape.
    """

    def __init__(
        self,
        seed: int,
        *,
        processes: int = 60,
        births: int = 8,
        execs: int = 2,
        interval_s: float = 10.0,
    ) -> None:
        self._dice = random.Random(seed)  # noqa: S311 (not for secrets)
        self._interval_s = interval_s
        self._births = births
        self._execs = execs
        self._at_ns = START_NS
        self._pid = 300
        self._scrapes = 0
        self._taken: set[int] = set()
        self._lives = [
            self._life(
                self._dice.choice(_SERVICES), age_s=self._dice.uniform(60, 1e6), service=True
            )
            for _ in range(processes)
        ]

    def scrape(self) -> bytes:
        """The next scrape, as the collector would write it."""
        if self._scrapes:
            self._at_ns += int(self._interval_s * 1e9)
            self._pass()
        self._scrapes += 1
        return collector_bytes([life.process for life in self._lives], self._at_ns)

    def _pass(self) -> None:
        """An interval goes by."""
        self._taken = {life.process.pid for life in self._lives}
        stayed = []
        for life in self._lives:
            life.left -= 1
            if life.left > 0:
                self._use(life)
                stayed.append(life)
            elif life.service:
                age_s = self._dice.uniform(0, self._interval_s)
                stayed.append(self._life(life.process.name, age_s=age_s, service=True))
        born = (self._dice.choice(_BRIEF) for _ in range(self._births))
        stayed += [self._life(name, age_s=self._age_s()) for name in born]
        if self._scrapes % 3 == 1:
            stayed += [self._hog()]
        for life in self._dice.sample(stayed, self._execs):
            life.process = replace(life.process, name=self._dice.choice(_AFTER_EXEC))
        self._lives = stayed

    def _age_s(self) -> float:
        return self._dice.uniform(0, self._interval_s)

    def _life(self, name: str, *, age_s: float, service: bool = False) -> _Life:
        self._pid = 300 + (self._pid - 300 + self._dice.randrange(1, 30)) % _PIDS
        while self._pid in self._taken:
            self._pid += 1
        self._taken.add(self._pid)
        idle = self._dice.random() < 0.6
        cores = 0.0 if idle else self._dice.uniform(0.0005, 0.03)
        old = age_s > self._interval_s
        process = FakeProcess(
            pid=self._pid,
            name=name,
            started_ns=self._at_ns - int(age_s * 1e9),
            cpu_s=round(self._dice.uniform(0, 500) if old else cores * age_s, 2),
            io_bytes=self._dice.randrange(1 << 30) if old else self._dice.randrange(1 << 16),
            memory_bytes=self._dice.randrange(1 << 20, 1 << 28),
        )
        left = self._dice.randrange(3, 40) if service else self._dice.randrange(1, 4)
        return _Life(process=process, cores=cores, left=left, service=service)

    def _hog(self) -> _Life:
        life = self._life(self._dice.choice(_HOGS), age_s=self._age_s())
        life.left = self._dice.randrange(2, 5)
        if self._dice.random() < 0.5:
            life.cores = self._dice.uniform(0.1, 0.5)
            life.process = replace(life.process, cpu_s=round(life.cores * self._interval_s / 2, 2))
        else:
            life.process = replace(life.process, memory_bytes=int(0.07 * MEMORY_BYTES))
        return life

    def _use(self, life: _Life) -> None:
        of = life.process
        life.process = replace(
            of,
            cpu_s=round(of.cpu_s + life.cores * self._interval_s * self._dice.uniform(0.7, 1.3), 2),
            io_bytes=of.io_bytes + self._dice.randrange(1 << 18) * (life.cores > 0),
            memory_bytes=max(1 << 20, of.memory_bytes + self._dice.randrange(-4096, 4096) * 64),
        )
