"""Layers, types and style hold: the tools that `make check` runs find nothing.

They are tests as well, so that `make test` has one closing line that speaks for everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = {
    "layers": ["lint-imports", "--no-cache"],
    "types": ["mypy"],
    "rules": ["ruff", "check", "."],
    "form": ["ruff", "format", "--check", "."],
}


@pytest.mark.parametrize("name", CHECKS)
def test_check_finds_nothing(name: str, root: Path) -> None:
    command, *arguments = CHECKS[name]
    done = subprocess.run(
        [Path(sys.executable).with_name(command), *arguments],
        cwd=root,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} found:\n{(done.stdout + done.stderr)[-6000:]}"


def test_every_package_has_a_place_in_the_layers(root: Path) -> None:
    """import-linter checks this too, but only for packages that it can import."""
    contract = (root / "pyproject.toml").read_text().split("layers = [")[1].split("]")[0]
    placed = {name.strip() for name in contract.replace('"', "|").replace(",", "|").split("|")}
    packages = {
        each.stem for each in (root / "src/phoenix").iterdir() if each.name != "__pycache__"
    }
    assert packages - {"__init__", "py.typed"} <= placed
