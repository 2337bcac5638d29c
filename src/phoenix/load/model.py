"""What a load is made of: processes, births, the plan of both, and what runs of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """One process by what people see of it and what it costs."""

    name: str  # of its executable; the kernel shows the first 15 bytes as its short name
    argv: tuple[str, ...]  # the whole command line, with the name it gives itself first
    cpu_share: float = 0.0  # of one core
    rss_bytes: int = 0  # touched beyond the 0.6 MB that the program itself needs
    write_bytes_per_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a process executes in its own place: its pid and start stay, name and argv are new."""

    after_s: float  # of its life
    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A process that starts `at_s` into each cycle and ends by itself after `lifetime_s`.

    `{birth}` in its command lines becomes the running number of the birth, so no two are alike.
    """

    at_s: float
    lifetime_s: float
    process: ProcessPlan
    becomes: Program | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a load will run: the long-lived, and one cycle of births repeated for ever."""

    profile: str
    seed: int
    processes: tuple[ProcessPlan, ...]
    births: tuple[Birth, ...] = ()
    cycle_s: float = 0.0

    @property
    def cpu_share(self) -> float:
        """Planned share of one core of the long-lived processes."""
        return sum(process.cpu_share for process in self.processes)

    @property
    def rss_bytes(self) -> int:
        """Planned bytes that the long-lived processes touch, without the program itself."""
        return sum(process.rss_bytes for process in self.processes)

    @property
    def births_per_s(self) -> float:
        """Mean births a second."""
        return len(self.births) / self.cycle_s if self.births else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of load and how many long-lived processes it may have."""

    name: str
    title: str
    minimum: int
    default: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One process of a load as the kernel shows it now."""

    name: str
    pid: int
    command_line: tuple[str, ...]
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStatus:
    """What the supervisor last said about itself, at most about a second ago."""

    phase: str  # starting, ready, stopping, stopped
    live: int
    started: int
    ended: int
    failed: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A running load: its plan's name and its supervisor, named for good by pid and start."""

    profile: str
    seed: int
    count: int
    pid: int
    start_ticks: int
    started_at: str  # RFC 3339
    tethered: bool
