"""The command line in the test's own process: what it printed, and how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from phoenix.cli import main

if TYPE_CHECKING:
    import pytest


@dataclass
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Phoenix = Callable[..., Said]


def in_this_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: Mapping[str, str | None],
) -> Phoenix:
    """Runs a command with these variables for the rest of the test; None is one that is not set."""
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["phoenix", *arguments])
        code = main.run()
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run
