"""What a load keeps in its data folder, and how each file is read and written.

    .phoenix/load/phoenix-load     the program (a link; put there by the build)
    .phoenix/load/bin/NAME         links to it under the names of the plan
    .phoenix/load/state.json       which supervisor runs, by pid and start
    .phoenix/load/status.json      what the supervisor says about itself
    .phoenix/load/plan.json        the plan, only until the supervisor has read it
    .phoenix/load/supervisor.log   why it could not

Files appear whole: written beside, then renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from phoenix.load.model import Load, LoadStatus, Plan


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the load in one data folder."""

    data_dir: Path

    @property
    def folder(self) -> Path:
        return self.data_dir.resolve() / "load"

    @property
    def program(self) -> Path:
        return self.folder / "phoenix-load"

    @property
    def bin_dir(self) -> Path:
        return self.folder / "bin"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def status(self) -> Path:
        return self.folder / "status.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def log(self) -> Path:
        return self.folder / "supervisor.log"

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Nobody else starts or stops a load of this folder meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write_plan(self, plan: Plan) -> None:
        """Only we may read it: command lines may hold what others should not see."""
        _write(self.plan, plan_bytes(plan), mode=0o600)

    def write_state(self, load: Load) -> None:
        _write(self.state, json.dumps(asdict(load), sort_keys=True).encode() + b"\n")

    def read_state(self) -> Load | None:
        """The load that was started last; None when there is none or the file is damaged."""
        try:
            return Load(**json.loads(self.state.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def read_status(self, pid: int) -> LoadStatus | None:
        """What supervisor `pid` said last; None while it said nothing yet."""
        try:
            said = json.loads(self.status.read_bytes())
            return LoadStatus(**said) if said.pop("pid") == pid else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def forget(self) -> None:
        """Remove everything but the program and the log."""
        for path in (self.state, self.status, self.plan):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.bin_dir, ignore_errors=True)


def plan_bytes(plan: Plan) -> bytes:
    """`plan` as the JSON that the load program reads; the same plan gives the same bytes."""
    text = json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
