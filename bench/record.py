"""Records what the collector reads on a host with a load, once, for any number of replays.

    .venv/bin/python bench/record.py --load realistic --minutes 60 --interval 10 --out FOLDER

The real collector scrapes the load in every way that a pipeline of the catalog does, at the same
moments, each into a file of its own (phoenix.testing.recording says how they look). As root, the
recorder takes process numbers of its own, so that it sees only its own load and several can run at
once; otherwise it records the whole host, and the manifest says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from load import DATA_DIR, machine
from phoenix.base.clock import SystemClock, rfc3339
from phoenix.collectors import distribution
from phoenix.experiments.deployment import own_paths
from phoenix.host import proc, tether
from phoenix.host.ports import free_port
from phoenix.load import service
from phoenix.load.files import plan_bytes
from phoenix.load.incidents import with_incidents
from phoenix.load.model import Plan
from phoenix.load.profiles import PROFILES, plan
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.model import Pipeline
from phoenix.testing import recording

BASELINE = "process-baseline-v1"
ISOLATED = "--isolated"
SAY_EVERY_S = 60.0
# More than 5 % of the host, which is what makes a process a hog.
HOG_SHARE = 0.06
END_WITHIN_S = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load", default="realistic", choices=[each.name for each in PROFILES])
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--births-per-s", type=int, help="whatever the profile has")
    parser.add_argument("--plain", action="store_true", help="no restarts, execs and hogs")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument(ISOLATED, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    out = (asked.out or DATA_DIR / "recordings" / asked.load).absolute()
    if not asked.isolated and (wrapper := isolation()) is not None:
        os.execvp(wrapper[0], [*wrapper, sys.executable, *sys.argv, ISOLATED])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the first process has no defaults
    record(asked, out)


def isolation() -> list[str] | None:
    """What gives us process numbers of our own; None where that is not allowed."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if shutil.which(command[0]) is None:
        return None
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else None


def planned(asked: argparse.Namespace) -> Plan:
    """The load that was asked for."""
    load = plan(asked.load, asked.seed, asked.count, births_per_s=asked.births_per_s)
    if asked.plain:
        return load
    memory = proc.host_memory_total_bytes() or 0
    return with_incidents(load, asked.seed, memory_hog_bytes=int(HOG_SHARE * memory))


def record(asked: argparse.Namespace, out: Path) -> None:
    """Start the load, then the collector; end both when the time is over."""
    out.mkdir(parents=True, exist_ok=True)
    binary = distribution.build(DATA_DIR)
    program = distribution.load_program(DATA_DIR).resolve()
    load = planned(asked)
    scrapes = distinct_scrapes(asked.interval)
    files = {name: f"{name}.otlp" for name in scrapes}
    for file in files.values():
        (out / file).unlink(missing_ok=True)
    manifest = recording.Manifest(
        load={
            "profile": load.profile,
            "seed": load.seed,
            "long_lived": len(load.processes),
            "births_per_s": round(load.births_per_s, 2),
            "incidents": not asked.plain,
            "plan_sha256": hashlib.sha256(plan_bytes(load)).hexdigest(),
        },
        interval_s=asked.interval,
        started_at=rfc3339(SystemClock().now()),
        minutes=asked.minutes,
        isolated=asked.isolated,
        collector={"version": version(binary), "build": binary.resolve().parent.name},
        machine=machine(),
        scrapes=files,
    )
    manifest.save(out)
    say(f"{'only this load' if asked.isolated else 'the whole host'} into {out}")
    with tempfile.TemporaryDirectory(dir=out) as folder:
        data_dir = Path(folder)
        (data_dir / "load").mkdir()
        (data_dir / "load" / "phoenix-load").symlink_to(program)
        handle = service.start_tethered(load, data_dir)
        try:
            config = data_dir / "collector.yaml"
            config.write_text(documents.dump(configuration(scrapes, files, out)))
            watch(binary, config, out, asked, data_dir)
        finally:
            service.end(handle)
    counts = {name: sum(1 for _ in recording.frames(out / file)) for name, file in files.items()}
    replace(manifest, frames=counts).save(out)
    say(f"done: {counts}")


def watch(binary: Path, config: Path, out: Path, asked: argparse.Namespace, data_dir: Path) -> None:
    """Run the collector for the time asked for, and say how far it is."""
    with (out / "collector.log").open("wb") as log:
        collector = tether.spawn(
            [str(binary), "--config", str(config)],
            env={
                "PATH": os.environ["PATH"],
                "PHOENIX_REDACTION_SALT": "recording",
                "PHOENIX_TELEMETRY_PORT": str(free_port()),
            },
            stdout=log,
            stderr=log,
        )
        end = time.monotonic() + asked.minutes * 60
        try:
            while (left := end - time.monotonic()) > 0 and collector.poll() is None:
                time.sleep(min(left, SAY_EVERY_S))
                sizes = {each.stem: f"{each.stat().st_size:,}" for each in out.glob("*.otlp")}
                say(f"{left / 60:.0f} min left, bytes {sizes}, {service.status(data_dir)}")
        finally:
            tether.end(collector, within_s=END_WITHIN_S)
    if left > 0:
        sys.exit(f"The collector ended early; see {out / 'collector.log'}")


def distinct_scrapes(interval_s: float) -> dict[str, dict[str, Any]]:
    """The configuration of a scraper for each way of reading the processes, by pipeline."""
    found: list[Pipeline] = []
    pipelines = [catalog.load(name) for name in catalog.names()]
    pipelines.sort(key=lambda each: each.name != BASELINE)
    for each in pipelines:
        known = any(
            render.same_scrape((each, None), (other, None), DEFAULT_CRITICAL) for other in found
        )
        if not known:
            found.append(each)
    return {each.name: scraper(each, interval_s) for each in found}


def scraper(pipeline: Pipeline, interval_s: float) -> dict[str, Any]:
    """As in an experiment: Phoenix itself left out, command lines hidden."""
    revision = render.scraper(
        pipeline, None, interval_s, (), own_paths(DATA_DIR), True, DEFAULT_CRITICAL
    )
    return documents.load(revision.config, pipeline.name)


def configuration(
    scrapes: dict[str, dict[str, Any]], files: dict[str, str], out: Path
) -> dict[str, Any]:
    """All scrapers in one collector, so that they read at the same moments."""
    merged: dict[str, Any] = {"receivers": {}, "processors": {}, "exporters": {}}
    pipelines = {}
    for name, document in scrapes.items():
        (steps,) = document["service"]["pipelines"].values()
        for kind in ("receivers", "processors"):
            for each in steps[kind]:
                merged[kind][suffixed(each, name)] = document[kind][each]
        merged["exporters"][f"file/{name}"] = {"path": str(out / files[name]), "format": "proto"}
        pipelines[f"metrics/{name}"] = {
            "receivers": [suffixed(each, name) for each in steps["receivers"]],
            "processors": [suffixed(each, name) for each in steps["processors"]],
            "exporters": [f"file/{name}"],
        }
    telemetry = next(iter(scrapes.values()))["service"]["telemetry"]
    return {**merged, "service": {"pipelines": pipelines, "telemetry": telemetry}}


def suffixed(component: str, name: str) -> str:
    return f"{component}_{name}" if "/" in component else f"{component}/{name}"


def version(binary: Path) -> str:
    return subprocess.run(
        [str(binary), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()


def say(sentence: str) -> None:
    print(f"{rfc3339(SystemClock().now())} {sentence}", flush=True)


if __name__ == "__main__":
    main()
