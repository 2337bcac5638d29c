"""Kept logs of child processes, bounded: a file over its size is moved aside before the next start
of its process, one generation deep."""

from __future__ import annotations

from pathlib import Path
from typing import IO

SIZE_MAX_BYTES = 10 * 1024 * 1024


def reopened(old: IO[bytes] | None, path: Path) -> IO[bytes]:
    """The log at `path`, for appending; `old` is closed."""
    if old is not None:
        old.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > SIZE_MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, or nothing."""
    try:
        with path.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - 16_384))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
