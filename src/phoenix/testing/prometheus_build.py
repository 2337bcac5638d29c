"""A real Prometheus 3 and its promtool, built once from one pinned Go module.

    .phoenix/prometheus/HASH/prometheus      HASH covers the module's hash, Go, and the recipe
    .phoenix/prometheus/HASH/promtool        built when first asked for

One hash pins everything: the module is downloaded, its hash is compared with ours, and it is built
where it lies, by its own go.mod and go.sum. (`go install module@version` would not look into that
go.sum.) Service discovery is left out: nothing here scrapes, and the clouds' client libraries are
most of what would be compiled. Measured on 2 cores with an empty cache: 90 s for prometheus, as
much again for promtool, which needs the Kubernetes client all the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from phoenix.base.canonical import canonical_bytes
from phoenix.base.errors import Tampered, Unavailable
from phoenix.collectors.toolchain import build_environment, find_go

Program = Literal["prometheus", "promtool"]

MODULE = "github.com/prometheus/prometheus"
VERSION = "v0.316.0"
"""The Go module's number for Prometheus 3.16.0."""
SUM = "h1:f1GRFerhTMKQma+awCoC9T820ecWeGSdF+xAlMHzZzM="
"""What go.sum would say: the hash over every file of the module."""

_FLAGS = ("-mod=readonly", "-modcacherw", "-trimpath", "-ldflags=-s -w", "-tags=remove_all_sd")
_SHOWN_LINES = 15


class PrometheusNotBuilt(Unavailable):
    """Prometheus could not be built."""


class PrometheusTampered(Tampered):
    """The downloaded module is not the Prometheus that was pinned."""


def program(
    name: Program,
    data_dir: Path,
    *,
    report: Callable[[str], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """The path of a built program; it is built first unless it is there. Two builds at once wait.

    Args:
        data_dir: the clone's `.phoenix`.
        report: hears what takes long.
        environment: the variables to build with; None takes those of this process.

    Raises:
        GoMissing, PrometheusNotBuilt, PrometheusTampered.
    """
    go = find_go(environment)
    made_of = {"sum": SUM, "go": go.version, "flags": list(_FLAGS)}
    key = hashlib.sha256(canonical_bytes(made_of)).hexdigest()[:32]
    home = data_dir.absolute() / "prometheus"
    built = home / key / name
    if built.is_file():
        return built
    variables = build_environment(data_dir, environment)
    Path(variables["GOTMPDIR"]).mkdir(parents=True, exist_ok=True)
    built.parent.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.is_file():
            report(f"building {name} of Prometheus {VERSION}; it takes some minutes, once")
            sources = _sources(go.path, built.parent, variables)
            fresh = built.with_name(f".{name}.new")
            argv: list[str | Path] = [go.path, "build", *_FLAGS, "-o", fresh, f"./cmd/{name}"]
            _run(f"compiling {name}", argv, sources, variables)
            fresh.replace(built)
    return built


def _sources(go: Path, folder: Path, variables: Mapping[str, str]) -> Path:
    """Where the verified module lies in Go's module cache."""
    argv: list[str | Path] = [go, "mod", "download", "-modcacherw", "-json", f"{MODULE}@{VERSION}"]
    said = json.loads(_run("downloading Prometheus", argv, folder, variables))
    if said.get("Sum") != SUM:
        raise PrometheusTampered(
            f"{MODULE} {VERSION} has the hash {said.get('Sum')}, not {SUM}.",
            remedy="Do not use this module mirror (GOPROXY).",
        )
    return Path(said["Dir"])


def _run(step: str, argv: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]) -> str:
    ended = subprocess.run(
        argv,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        lines = [x for x in f"{ended.stderr}\n{ended.stdout}".splitlines() if x.strip()]
        told = "\n".join(lines[-_SHOWN_LINES:])
        raise PrometheusNotBuilt(
            f"Prometheus could not be built. While {step}:\n{told}\n",
            remedy="Check the network and GOPROXY (a module mirror), and run it again: what was "
            "downloaded is kept.",
        )
    return ended.stdout
