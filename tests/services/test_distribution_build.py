"""The pinned sources build with a real Go into a collector that runs, once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from phoenix.collectors import distribution
from phoenix.collectors.build_errors import BuildFailed, ModulesUnreachable


@pytest.mark.collector
@pytest.mark.timeout(1200)
def test_the_collector_is_built_once_and_says_its_version() -> None:
    data_dir = Path(__file__).parents[2] / ".phoenix"
    built = distribution.build(data_dir)
    steps: list[str] = []
    assert distribution.build(data_dir, lambda progress: steps.append(progress.step)) == built
    assert steps == []
    assert distribution.find(data_dir) == built.resolve()
    answer = subprocess.run([built, "components"], capture_output=True, text=True, check=True)
    assert "host_metrics" in answer.stdout
    assert "process_budget" in answer.stdout
    assert "otlp_http" in answer.stdout
    assert os.access(distribution.load_program(data_dir), os.X_OK)


def test_without_a_network_the_refusal_names_the_mirror_and_nothing_half_built_stays(
    tmp_path: Path,
) -> None:
    variables = {**os.environ, "GOPROXY": "off", "PHOENIX_GO_CACHE": str(tmp_path / "empty")}
    with pytest.raises(ModulesUnreachable, match="GOPROXY"):
        distribution.build(tmp_path / "data", environment=variables)
    assert [path.name for path in (tmp_path / "data" / "collector").iterdir()] == ["lock"]


def test_sources_that_do_not_build_are_refused_with_what_the_compiler_said(tmp_path: Path) -> None:
    sources = tmp_path / "collector"
    shutil.copytree(distribution.sources_dir(), sources)
    (sources / "builder" / "go.mod").write_text("module broken\n\ngo 1.26.0\n")
    with pytest.raises(BuildFailed, match="cannot find module providing package"):
        distribution.build(tmp_path / "data", sources=sources)
    assert distribution.find(tmp_path / "data", sources) is None


def test_a_second_build_waits_for_the_first_and_removes_what_a_killed_one_left(
    tmp_path: Path,
) -> None:
    home = tmp_path / "data" / "collector"
    (home / "work-killed").mkdir(parents=True)
    steps: list[str] = []
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def hear(progress: distribution.Progress) -> None:
            steps.append(progress.step)
            fcntl.flock(lock, fcntl.LOCK_UN)

        sources = tmp_path / "collector"
        shutil.copytree(distribution.sources_dir(), sources)
        (sources / "builder" / "go.mod").write_text("module broken\n\ngo 1.26.0\n")
        with pytest.raises(BuildFailed):
            distribution.build(tmp_path / "data", hear, sources=sources)
    assert steps[:2] == ["waiting for another build of the collector", "preparing the builder"]
    assert [path.name for path in home.iterdir()] == ["lock"]
