"""Removes everything that `make` made in this clone, after stopping what still runs from it.

Go keeps its modules read-only, so folders are opened up before they are emptied.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import machine

FOLDERS = (
    ".phoenix",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".import_linter_cache",
    ".hypothesis",
    "dist",
)
SOURCES = ("src", "tests", "bench", "scripts")


def stop_phoenix() -> bool:
    """Whether nothing of ours runs any more; a state file says that something may."""
    if not (machine.STATE / "state.json").exists():
        return True
    python = machine.VENV / "bin" / "python"
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "phoenix", "down"], check=False).returncode == 0


def open_up_and_retry(remove: Callable[..., object], path: str, _: BaseException) -> None:
    """Give the owner the right to empty this folder, and try once more."""
    Path(path).parent.chmod(0o700)
    if Path(path).is_dir() and not Path(path).is_symlink():
        Path(path).chmod(0o700)
    remove(path)


def remove(folder: Path) -> None:
    """Remove a folder with everything in it."""
    if sys.version_info >= (3, 12):
        shutil.rmtree(folder, onexc=open_up_and_retry)
    else:
        shutil.rmtree(
            folder, onerror=lambda call, path, info: open_up_and_retry(call, path, info[1])
        )


def main() -> int:
    """Stop, remove, and name what was removed."""
    if not stop_phoenix():
        print("Phoenix still runs from this clone: stop it with `make down`, then try again.")
        return 5
    caches = [each for name in SOURCES for each in (machine.ROOT / name).rglob("__pycache__")]
    removed = [each for each in (machine.ROOT / name for name in FOLDERS) if each.is_dir()]
    for folder in [*removed, *caches]:
        remove(folder)
    print("removed:", ", ".join(each.name for each in removed) or "nothing; it was clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
