"""What this machine is: the few facts that the preflight and the installer both need.

Standard library only, and Python 3.8 syntax: this file runs before anything is installed, perhaps
under an interpreter that is too old, which must be able to say so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = ROOT / ".phoenix"

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)  # uv.lock has a wheel of every package up to here
OLDEST_GO = (1, 26)
GO_VERSION = re.compile(r"\bgo(\d+)\.(\d+)")


def find_go() -> tuple[str, str] | None:
    """Path and version of a Go that can build the collector, looked for on PATH.

    A Go inside our own .venv is left out: it is there because PATH had none, and counting it
    would make the next installation remove it.
    """
    own = str(VENV / "bin")
    path = os.pathsep.join(
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if folder and os.path.realpath(folder) != own
    )
    go = shutil.which("go", path=path)
    if go is None:
        return None
    try:
        said = subprocess.run(
            [go, "version"],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=20,
            env=silent_go_environment(),
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = GO_VERSION.search(said)
    if found is None or (int(found.group(1)), int(found.group(2))) < OLDEST_GO:
        return None
    return go, said.split()[2][len("go") :]


def silent_go_environment() -> dict[str, str]:
    """The environment in which `go` answers a question and leaves no trace.

    GOTOOLCHAIN: a go.mod nearby could make an old Go download a newer one only to answer.
    No home: every start of `go` otherwise counts itself in files under ~/.config/go/telemetry.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CONFIG_HOME")}
    env["GOTOOLCHAIN"] = "local"
    return env


def python_is_supported(version: tuple[int, ...]) -> bool:
    """Whether every locked package has a wheel for this version of Python."""
    return OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON


def collector_is_built() -> bool:
    """Whether a build of the collector is in the clone (perhaps of older inputs)."""
    return any((STATE / "collector").glob("**/otelcol-phoenix"))


def quiet_environment() -> dict[str, str]:
    """The caller's environment, with everything that writes pointed into the clone.

    pip, uv and Go keep caches under HOME and temporary files under /tmp unless told otherwise;
    HOME may be empty, read-only or absent. What the user set explicitly stays as it is.
    """
    scratch = STATE / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ)
    env["TMPDIR"] = str(scratch)
    if not env.get("HOME"):
        env["HOME"] = str(STATE / "home")
    env.setdefault("UV_CACHE_DIR", str(STATE / "cache" / "uv"))
    env.setdefault("PIP_CACHE_DIR", str(STATE / "cache" / "pip"))
    # pip asks `rustc` for its version, which, where rustup manages it, creates ~/.rustup.
    env.setdefault("RUSTUP_HOME", str(scratch / "rustup"))
    # An activated environment would otherwise be taken for the one to install into.
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    return env


def interpreter() -> str:
    """Path and version of the running interpreter, for messages."""
    return "{} ({})".format(".".join(map(str, sys.version_info[:3])), sys.executable)
