"""Real processes are recorded and replayed: a short time in `make test`, an hour in `make soak`.

The recorder and the measurement run as a person runs them, and what they print is held to what must
hold on any host: the baseline hides nothing, and a budget conserves everything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phoenix.pipelines import catalog
from phoenix.testing import recording

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("PHOENIX_SOAK") == "full"
MINUTES, INTERVAL_S = (60.0, 10.0) if FULL else (0.35, 1.0)
PROFILES = {
    "realistic": [],
    "high-cardinality": ["--count", "2000"],
    "high-churn": ["--births-per-s", "30"],
}
EXACT = 1e-9
pytestmark = [pytest.mark.collector, pytest.mark.soak, pytest.mark.timeout(0 if FULL else 300)]


def printed(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def measured(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    said = printed("pipelines.py", "--recording", str(folder), "-o", "json", *arguments)
    return {figures["pipeline"]: figures for figures in json.loads(said)["pipelines"]}


@pytest.mark.parametrize("profile", PROFILES if FULL else ["high-churn"])
def test_a_recorded_load_is_replayed_and_every_budget_keeps_every_total(
    profile: str, tmp_path: Path
) -> None:
    folder = tmp_path / profile
    printed(
        "record.py", "--load", profile, *PROFILES[profile], "--minutes", str(MINUTES),
        "--interval", str(INTERVAL_S), "--out", str(folder),
    )  # fmt: skip
    manifest = recording.Manifest.of(folder)
    assert manifest.frames["process-baseline-v1"] >= 0.8 * MINUTES * 60 / INTERVAL_S
    assert set(manifest.scrapes) >= {"process-baseline-v1", "process-slim-v1"}
    budgeted = [name for name in catalog.names() if "process_budget" in catalog.load(name).template]
    names = ["process-baseline-v1", "process-slim-v1", *budgeted]
    found = measured(folder, *([] if FULL else ["--pipelines", ",".join(names)]))
    baseline = found["process-baseline-v1"]
    assert baseline["hidden_hogs"] == 0
    assert baseline["coverage"]["mean"] == baseline["recall_cpu_strict"]["mean"] == 1
    for name in ("process-baseline-v1", *budgeted):
        for metric, counter in found[name]["counters"].items():
            assert counter["worst_scrape"] < EXACT, (name, metric)
        for metric, level in found[name]["levels"].items():
            assert level["worst_scrape"] < EXACT, (name, metric)
    for name in budgeted:
        assert found[name]["series"]["mean"] < baseline["series"]["mean"]
