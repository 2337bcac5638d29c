"""The files that the promises are about: what is in the repository, or would be if added now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE_HERE = {".git", ".venv", ".phoenix", "__pycache__", "dist"}


def _named_by_git() -> list[Path] | None:
    """Tracked and new files; None where git or the repository is missing."""
    try:
        said = subprocess.run(
            # The clone may belong to another user than the one who tests it.
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [ROOT / os.fsdecode(name) for name in said.split(b"\0") if name]


def _found_by_walking() -> list[Path]:
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in MADE_HERE and "_cache" not in each]
        found += [Path(folder) / name for name in names]
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the project, sorted."""
    named = _named_by_git() or _found_by_walking()
    return sorted(path for path in named if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="session")
def python_files(files: list[Path]) -> list[Path]:
    """Every Python file of the project."""
    return [path for path in files if path.suffix == ".py"]


@pytest.fixture(scope="session")
def sources(python_files: list[Path]) -> list[Path]:
    """The Python files that are installed."""
    return [path for path in python_files if path.is_relative_to(ROOT / "src")]
