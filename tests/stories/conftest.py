"""One Phoenix for a module of stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from phoenix.processes import machine
from phoenix.testing.machine import Machine

CLONE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with everything built and nothing running; whatever a story started is ended."""
    data_dir = tmp_path_factory.mktemp("phoenix")
    for name in ("collector", "load"):
        (data_dir / name).mkdir()
        for entry in (CLONE / ".phoenix" / name).iterdir():
            if entry.name != "lock":
                (data_dir / name / entry.name).symlink_to(entry.resolve())
    yield Machine(data_dir)
    machine.down(data_dir)


@pytest.fixture(scope="module")
def running(down: Machine) -> Machine:
    """A Phoenix that is up."""
    down.phoenix("up")
    return down
