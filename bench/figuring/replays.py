"""One recording through one pipeline: what each scrape of it kept, and what the collector used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conserving.arms import (
    but_critical,
    by_pattern,
    patterns_of_budget,
    patterns_of_groups,
)
from phoenix.host import proc
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.model import CriticalRule
from phoenix.testing import recording, replay
from phoenix.testing.figures import Figures, Judge
from phoenix.testing.sightings import Reader, Seen

BASELINE = "process-baseline-v1"
SLIM = "process-slim-v1"
GROUPS = "process-aggregated-v1"
# A scrape that leaves out what is younger than 30 s shows nothing of a load that just started, and
# the first scrape has no increments: neither says anything about the hour. In the second the rules
# differ about who was born just before the first (the meter's has a tolerance of a quarter of an
# interval), so even a short recording leaves out three.
SETTLE_S = 60.0
SETTLE_SCRAPES = 3
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recording, and its default scrapes as they are judged against."""

    folder: Path
    manifest: recording.Manifest
    truth: Sequence[Seen]

    @property
    def settled(self) -> int:
        """The number of the first scrape that counts."""
        first = self.truth[0].at_ns
        late = (n for n, seen in enumerate(self.truth) if seen.at_ns - first >= SETTLE_S * 1e9)
        return next(late, SETTLE_SCRAPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One counted scrape of one pipeline: its figures, and what the collector used and held."""

    figures: Figures
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pipeline over one recording."""

    pipeline: str
    rows: Sequence[Row]
    series_run: int
    peak_memory_bytes: int


def recorded(folder: Path, minutes: float | None) -> Recorded:
    """Read the default scrapes of a recording, up to `minutes` of it."""
    manifest = recording.Manifest.of(folder)
    reader = Reader(manifest.interval_s)
    truth: list[Seen] = []
    for request in recording.requests(folder / manifest.scrapes[BASELINE]):
        seen = reader.read([request])
        if minutes is not None and truth and seen.at_ns - truth[0].at_ns > minutes * 60e9:
            break
        truth.append(replace(seen, series=frozenset()))  # hundreds of megabytes nobody reads
    return Recorded(folder=folder, manifest=manifest, truth=truth)


def scrape_of(name: str, manifest: recording.Manifest) -> str:
    """The file of the scrape that a pipeline reads.

    Raises:
        NoSuchScrape: it reads the processes in a way that was not recorded.
    """
    for known, file in manifest.scrapes.items():
        pair = ((catalog.load(known), None), (catalog.load(name), None))
        if render.same_scrape(*pair, DEFAULT_CRITICAL):
            return file
    raise recording.NoSuchScrape(
        f"The recording has no scrape for {name}.", remedy="Record again with bench/record.py."
    )


def run(
    name: str,
    given: Recorded,
    binary: Path,
    settings: Mapping[str, str],
    critical: Sequence[CriticalRule] = DEFAULT_CRITICAL,
) -> Run:
    """Replay a recording through the pipeline called `name`, with those settings that it has."""
    manifest = given.manifest
    made = document(name, settings, manifest.interval_s, critical)
    judge = Judge(
        float(manifest.machine["memory_gib"]) * GIB,
        critical=critical,
        category=category_of(name, made),
    )
    reader = Reader(manifest.interval_s, compress=True)
    rows, series = [], set()
    path = given.folder / scrape_of(name, manifest)
    with replay.Arm(binary, made, name) as arm:
        pid = arm.child.pid
        used = proc.cpu_seconds(pid) or 0.0
        for number, body in enumerate(paired(path, given.truth, manifest.interval_s)):
            left = reader.read(arm.scrape(body) if body is not None else [])
            before, used = used, proc.cpu_seconds(pid) or 0.0
            if number < given.settled:
                continue
            arrived = given.truth[number]
            elapsed_s = (arrived.at_ns - given.truth[number - 1].at_ns) / 1e9
            series |= left.series
            figures = judge.judge(arrived, left, elapsed_s)
            held = proc.rss_bytes(pid) or 0
            rows.append(Row(figures=figures, cpu_s=used - before, rss_bytes=held))
        peak = peak_memory_bytes(pid)
    return Run(pipeline=name, rows=rows, series_run=len(series), peak_memory_bytes=peak)


def document(
    name: str,
    settings: Mapping[str, str],
    interval_s: float,
    critical: Sequence[CriticalRule] = DEFAULT_CRITICAL,
) -> dict[str, Any]:
    """The pipeline as an arm that is fed."""
    pipeline = catalog.load(name)
    own = {parameter.name for parameter in pipeline.parameters}
    values = {key: value for key, value in settings.items() if key in own}
    revision = render.arm(pipeline, values, critical, interval_s, fed=True)
    return documents.load(revision.config, name)


def paired(path: Path, truth: Sequence[Seen], interval_s: float) -> Iterator[bytes | None]:
    """For each default scrape the one made at the same moment; None where it showed nobody."""
    bodies = recording.frames(path)
    body = next(bodies, None)
    for seen in truth:
        limit = seen.at_ns + interval_s * 1e9 / 2
        if body is not None and time_of(body) <= limit:
            yield body
            body = next(bodies, None)
        else:
            yield None


def time_of(body: bytes) -> int:
    """The time of the first point of a raw scrape."""
    request = recording.Request.FromString(body)
    return int(
        next(
            point.time_unix_nano
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.sum.data_points
        )
    )


def category_of(name: str, made: dict[str, Any]) -> Callable[[str], str] | None:
    """How a pipeline sorts names, if it tells categories."""
    if name == GROUPS:
        return but_critical(by_pattern(patterns_of_groups()))
    given = made.get("processors", {}).get("process_budget")
    return by_pattern(patterns_of_budget(given)) if given else None


def peak_memory_bytes(pid: int) -> int:
    """The largest resident size that the process had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("Linux tells it of every running process")
