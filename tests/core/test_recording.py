"""A recording is read as it was written, as far as it goes, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.testing import recording
from phoenix.testing.otlp import collector_bytes, processes

NOW_NS = 1_800_000_000_000_000_000


def scrape(count: int) -> bytes:
    return collector_bytes(processes(count, seed=1, started_ns=NOW_NS), NOW_NS)


def times(body: bytes) -> list[tuple[int, int]]:
    return [
        (point.start_time_unix_nano, point.time_unix_nano)
        for resource in Request.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.sum.data_points
    ]


def test_what_was_written_is_read_in_order_and_files_follow_each_other(tmp_path: Path) -> None:
    bodies = [scrape(3), b"", scrape(5)]
    assert recording.write(tmp_path / "a", bodies) == 3
    assert recording.write(tmp_path / "b", []) == 0
    assert list(recording.frames(tmp_path / "a")) == bodies
    assert list(recording.concat([tmp_path / name for name in "aba"])) == bodies * 2
    counts = [len(each.resource_metrics) for each in recording.requests(tmp_path / "a")]
    assert counts == [3, 0, 5]


@pytest.mark.parametrize("lost", [1, 100])
def test_a_request_that_is_cut_off_is_left_out(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "a"
    recording.write(path, [scrape(3), scrape(3)])
    path.write_bytes(path.read_bytes()[:-lost])
    assert list(recording.frames(path)) == [scrape(3)]


def test_another_file_is_not_a_recording(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("{} not a recording")
    with pytest.raises(recording.NotARecording) as refused:
        list(recording.frames(tmp_path / "a"))
    assert refused.value.remedy
    with pytest.raises(recording.NotARecording):
        recording.Manifest.of(tmp_path)


def test_shifted_requests_keep_everything_but_their_times() -> None:
    body = scrape(4)
    moved = recording.shifted(body, 10)
    assert times(moved) == [(start and start + 10, at + 10) for start, at in times(body)]
    assert recording.shifted(moved, -10) == Request.FromString(body).SerializeToString()


def test_a_manifest_is_read_as_it_was_saved(tmp_path: Path) -> None:
    manifest = recording.Manifest(
        load={"profile": "realistic"},
        interval_s=10.0,
        started_at="2026-11-24T12:00:00Z",
        minutes=60.0,
        isolated=True,
        collector={"version": "1"},
        machine={"cores": 2},
        scrapes={"process-baseline-v1": "process-baseline-v1.otlp"},
        frames={"process-baseline-v1": 360},
    )
    manifest.save(tmp_path)
    assert recording.Manifest.of(tmp_path) == manifest
