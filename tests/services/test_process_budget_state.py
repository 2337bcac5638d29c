"""A collector that is killed goes on where it was: no reset, nothing lost, nothing twice."""

from __future__ import annotations

import copy
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.collectors import distribution
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing import hosts, replay
from phoenix.testing.streams import Streams, rises
from phoenix.testing.truth import COUNTERS, Truth

DATA_DIR = Path(__file__).parents[2] / ".phoenix"
NAME = "process-topk-v1"

pytestmark = pytest.mark.collector


def with_storage(folder: Path) -> dict[str, Any]:
    """The pipeline with its state in a folder."""
    text = render.arm(catalog.load(NAME), None, DEFAULT_CRITICAL, 10.0, fed=True).config
    document: dict[str, Any] = copy.deepcopy(documents.load(text, NAME))
    document["extensions"] = {"file_storage": {"directory": str(folder)}}
    document["service"]["extensions"] = ["file_storage"]
    document["processors"]["process_budget"]["storage"] = "file_storage"
    return document


@pytest.mark.parametrize("deleted", [False, True])
def test_a_kill_loses_nothing_and_repeats_nothing(tmp_path: Path, deleted: bool) -> None:
    binary, document = distribution.build(DATA_DIR), with_storage(tmp_path)
    host, truth, streams = hosts.Host(5), Truth(), Streams(COUNTERS)
    used, resets, moved_ns = dict.fromkeys(COUNTERS, 0.0), 0, None
    for life in range(3):
        with replay.Arm(binary, document, NAME) as arm:
            arm.start_at(moved_ns)
            for _ in range(5):
                body = host.scrape()
                scrape = truth.fold(Request.FromString(body))
                for metric in COUNTERS:
                    used[metric] += scrape.total(metric)
                for left in arm.scrape(body):
                    streams.fold(left)
            moved_ns = arm.moved_ns
            arm.child.send_signal(signal.SIGKILL)
            arm.child.wait()
        if deleted and life == 1:
            for file in tmp_path.iterdir():
                file.unlink()
    for metric in COUNTERS:
        rose = 0.0
        for key, samples in streams.of(metric):
            rose += sum(rise for _, rise in rises(samples))
            if not key.get("process.pid"):
                resets += sum(after < before for (_, before), (_, after) in pairwise(samples))
        if deleted:
            assert rose < used[metric]
        else:
            assert rose == pytest.approx(used[metric], rel=1e-9), metric
    assert bool(resets) == deleted
