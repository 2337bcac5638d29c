"""Who runs here: one JSON file beside the data, written whole or not at all.

It names processes by number and start, so that a number the kernel gave away again is never taken
for ours, and the ports that were chosen, so that commands find the API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phoenix.host import proc

FILE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process that the supervisor keeps up."""

    name: str
    pid: int | None
    start_ticks: int | None
    state: str  # starting, up, waiting (for its next start), stopped
    restarts: int
    last_exit: str | None

    def alive(self) -> bool:
        """Whether this very process runs."""
        if self.pid is None or self.start_ticks is None:
            return False
        return proc.Process(pid=self.pid, start_ticks=self.start_ticks).alive()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A Phoenix on this machine."""

    pid: int
    start_ticks: int
    started_at: str
    ready: bool
    ports: Mapping[str, int]
    database: str  # embedded or external
    members: tuple[Member, ...] = field(default=())

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return proc.Process(pid=self.pid, start_ticks=self.start_ticks).alive()


def write(data_dir: Path, running: Running) -> None:
    """Replace the file at once."""
    temporary = data_dir / (FILE + ".new")
    temporary.write_text(json.dumps(asdict(running), indent=2))
    temporary.replace(data_dir / FILE)


def read(data_dir: Path) -> Running | None:
    """What the file says, whether or not it still runs; None without a readable file."""
    try:
        raw: dict[str, Any] = json.loads((data_dir / FILE).read_text())
        members = tuple(Member(**member) for member in raw.pop("members"))
        return Running(**raw, members=members)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remove(data_dir: Path) -> None:
    """Forget it: nothing runs here any more."""
    (data_dir / FILE).unlink(missing_ok=True)
