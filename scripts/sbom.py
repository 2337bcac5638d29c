"""Writes what Phoenix is made of, as CycloneDX 1.6: locked Python packages and Go modules.

The Python half is what `cyclonedx-py` finds in .venv, narrowed to the packages that Phoenix needs
to run (test tools and the tool itself are left out). The Go half is what the built collector says
of itself (`go version -m`), which is exactly what was linked; before a build it is what go.mod
requires. No time and no random number is written, so the same clone gives the same bytes.

Source of the format: CycloneDX 1.6 (ECMA-424), purl-spec for `pkg:golang`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine

BIN = machine.VENV / "bin"
OUT = machine.STATE / "sbom" / "phoenix.cdx.json"
REQUIRED = re.compile(r"^\s*(?:require\s+)?([\w.~/-]+\.[\w.~/-]+) (v\S+)", re.MULTILINE)


def said_by(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed."""
    return subprocess.run(
        arguments, check=True, stdout=subprocess.PIPE, text=True, cwd=machine.ROOT, env=env
    ).stdout


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_document() -> dict[str, Any]:
    """The tool's document about .venv, with only what `phoenix` needs to run."""
    listing = said_by(
        BIN / "uv", "export", "--frozen", "--offline", "--quiet", "--no-emit-project",
        "--no-default-groups", "--no-hashes", "--no-annotate", "--no-header",
        env=machine.quiet_environment(),
    )  # fmt: skip
    needed = {normal(line.split("==")[0].split("[")[0]) for line in listing.splitlines()}
    whole = json.loads(
        said_by(
            BIN / "cyclonedx-py", "environment", "--output-reproducible", "--spec-version", "1.6",
            "--output-format", "JSON", "--pyproject", "pyproject.toml", BIN / "python",
        )
    )  # fmt: skip
    components = [each for each in whole.get("components", []) if normal(each["name"]) in needed]
    kept = {each["bom-ref"] for each in components}
    root = whole["metadata"]["component"]["bom-ref"]
    whole["components"] = components
    whole["dependencies"] = [
        {
            "ref": each["ref"],
            "dependsOn": sorted(kept & set(each.get("dependsOn", []))),
        }
        for each in whole.get("dependencies", [])
        if each["ref"] in kept | {root}
    ]
    return dict(whole)


def go_modules() -> Iterator[tuple[str, str, str]]:
    """Path, version and Go checksum of every module that the collector is made of."""
    binary = machine.STATE / "collector" / "otelcol-phoenix"
    found = machine.find_go()
    go = found[0] if found else str(BIN / "go")
    if binary.exists() and Path(go).exists():
        lines = said_by(go, "version", "-m", binary, env=machine.silent_go_environment())
        # The standard library is linked too, and is what most advisories about Go are about.
        version = lines.partition(": go")[2].split()[0]
        linked: list[tuple[str, str, str]] = [("stdlib", version, "")]
        for kind, *rest in (line.split() for line in lines.splitlines() if line.strip()):
            if kind == "=>":
                linked.pop()  # this line replaces the one before it
            if kind in ("dep", "=>"):
                linked.append((rest[0], rest[1], rest[2] if len(rest) > 2 else ""))
        yield from linked
        return
    sums = (line.split() for line in (machine.ROOT / "collector/go.sum").read_text().splitlines())
    checksums = {(path, version): checksum for path, version, checksum in sums}
    for path, version in REQUIRED.findall((machine.ROOT / "collector/go.mod").read_text()):
        yield path, version, checksums.get((path, version), "")


def go_component(path: str, version: str, checksum: str) -> dict[str, Any]:
    """One Go module as a CycloneDX component."""
    purl = f"pkg:golang/{path}@{version}"
    component: dict[str, Any] = {
        "bom-ref": purl,
        "name": path,
        "purl": purl,
        "type": "library",
        "version": version,
    }
    if checksum:
        # Go's own hash is over a listing of the module's files; CycloneDX has no name for it.
        component["properties"] = [{"name": "go:checksum", "value": checksum}]
    return component


def main() -> int:
    """Merge both halves and say where they are."""
    document = python_document()
    modules = sorted({go_component(*module)["bom-ref"]: module for module in go_modules()}.items())
    packages = len(document["components"])
    document["components"] += [go_component(*module) for _, module in modules]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    print(f"{packages} Python packages, {len(modules)} Go modules: {OUT.relative_to(machine.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
