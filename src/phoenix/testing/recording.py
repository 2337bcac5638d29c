"""Recorded scrapes: what a collector read on a host, kept so that it can be replayed.

A recording is a folder: `manifest.json`, and one file for each way of reading the processes. A file
holds OTLP requests one after the other, each with its length in front of it (4 bytes, big-endian):
what the collector's file exporter writes with `format: proto`. An OTLP request and the message that
the exporter writes have the same fields. One request is one scrape.

    .phoenix/recordings/realistic/manifest.json
    .phoenix/recordings/realistic/process-baseline-v1.otlp
    .phoenix/recordings/realistic/process-slim-v1.otlp
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.base.errors import Invalid, NotFound

_LENGTH_BYTES = 4
# A scrape of 2,000 processes is about 2.5 MB; the first bytes of other files read as far more.
_LARGEST_FRAME_BYTES = 1 << 28
_MANIFEST = "manifest.json"


class NotARecording(Invalid):
    """The file or folder holds no recorded scrapes."""


class NoSuchScrape(NotFound):
    """The recording has no scrape that was read in that way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was recorded, where and how.

    Attributes:
        load: the profile and the numbers that its plan was made of.
        interval_s: between two scrapes.
        started_at: RFC 3339.
        minutes: how long it was to be.
        isolated: the recorder had process numbers of its own, so only its load was seen; otherwise
            the whole host was.
        collector: its version and the build that it was.
        machine: what it ran on.
        scrapes: the file for each pipeline that reads the processes in its own way.
        frames: the requests in each file; empty until the recording has ended.
    """

    load: Mapping[str, Any]
    interval_s: float
    started_at: str
    minutes: float
    isolated: bool
    collector: Mapping[str, str]
    machine: Mapping[str, Any]
    scrapes: Mapping[str, str]
    frames: Mapping[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it into `folder`, in one step."""
        fresh = folder / f"{_MANIFEST}.new"
        fresh.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        fresh.replace(folder / _MANIFEST)

    @staticmethod
    def of(folder: Path) -> Manifest:
        """The manifest in `folder`.

        Raises:
            NotARecording: there is none that can be read.
        """
        try:
            return Manifest(**json.loads((folder / _MANIFEST).read_bytes()))
        except (OSError, ValueError, TypeError) as reason:
            raise NotARecording(
                f"{folder} is not a recording: {reason}.",
                remedy="Make one: .venv/bin/python bench/record.py --load realistic --out FOLDER",
            ) from reason


def frames(path: Path) -> Iterator[bytes]:
    """The requests in a file, in order, as bytes; what is cut off at its end is left out.

    Raises:
        NotARecording: it holds something else.
    """
    with path.open("rb") as file:
        while len(prefix := file.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            length = int.from_bytes(prefix, "big")
            if length > _LARGEST_FRAME_BYTES:
                raise NotARecording(
                    f"{path} is not a file of recorded requests.",
                    remedy="Give a file that bench/record.py wrote.",
                )
            body = file.read(length)
            if len(body) < length:
                return
            yield body


def requests(path: Path) -> Iterator[Request]:
    """The requests in a file, in order."""
    return map(Request.FromString, frames(path))


def write(path: Path, bodies: Iterable[bytes]) -> int:
    """Write requests to `path`; answers how many they were."""
    count = 0
    with path.open("wb") as file:
        for count, body in enumerate(bodies, start=1):  # noqa: B007 (the last one is the answer)
            file.write(len(body).to_bytes(_LENGTH_BYTES, "big"))
            file.write(body)
    return count


def concat(paths: Iterable[Path]) -> Iterator[bytes]:
    """The requests of several files, one file after the other."""
    return chain.from_iterable(map(frames, paths))


def shifted(body: bytes, by_ns: int) -> bytes:
    """The request with every time moved by `by_ns` nanoseconds; a start that is 0 stays unknown."""
    request = Request.FromString(body)
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    point.time_unix_nano += by_ns
                    if point.start_time_unix_nano:
                        point.start_time_unix_nano += by_ns
    return request.SerializeToString()
