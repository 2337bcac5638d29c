"""The error rates of the verdict, by a seeded part of the simulation in `bench/long_run.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from phoenix.experiments.model import RATIO_CAP
from phoenix.experiments.statistics import longrun

BENCH = Path(__file__).parents[3] / "bench" / "long_run.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    found = importlib.util.spec_from_file_location("bench_statistics", BENCH)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("tail", [None, 0.5])
@pytest.mark.parametrize("ticks", [120, 430, 720])
def test_the_simulated_rule_is_the_rule_of_the_product(
    simulation: ModuleType, phi: float, tail: float | None, ticks: int
) -> None:
    generator = np.random.default_rng(9)
    baseline, candidate = simulation.arms(generator, 6, phi, 0.5, tail)
    log_e, allowed = simulation.gate(baseline[:, :ticks], candidate[:, :ticks], 0.005)
    for run in range(6):
        blocks = [
            (int(a), int(b))
            for a, b in zip(baseline[run, :ticks], candidate[run, :ticks], strict=True)
        ]
        state = longrun.assess(blocks, 1, bound=0.7, cap=RATIO_CAP, level=0.005)
        assert (state.withheld is None) == allowed[run]
        assert state.log_e == pytest.approx(log_e[run], abs=1e-6)


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("tail", [None, 0.5])
def test_a_reduction_exactly_at_the_requirement_is_hardly_ever_promoted(
    simulation: ModuleType, phi: float, tail: float | None
) -> None:
    seen = simulation.reduction_runs(1, 200, phi, simulation.REQUIRED, tail)
    assert seen.promoted <= 0.01


@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_ten_points_more_than_required_are_usually_promoted(
    simulation: ModuleType, phi: float
) -> None:
    seen = simulation.reduction_runs(8, 500, phi, simulation.REQUIRED + 0.1, None)
    assert seen.promoted >= 0.8


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.5, 0.8])
def test_coverage_at_the_margin_and_equal_harm_keep_to_their_levels(
    simulation: ModuleType, phi: float
) -> None:
    promoted, _ = simulation.coverage_runs(3, 400, phi, simulation.MARGIN)
    assert promoted <= 0.01
    assert simulation.harm_runs(4, 400, phi, simulation.MARGIN) <= 0.05


def test_peeking_at_a_z_test_is_as_bad_as_published(simulation: ModuleType) -> None:
    """Armitage, McPherson and Rowe 1969: a 5 % two-sided test looked at n times."""
    generator = np.random.default_rng(5)
    sums = np.cumsum(generator.standard_normal((20000, 50)), axis=1)
    crossed = np.abs(sums) / np.sqrt(np.arange(1, 51)) > 1.959964
    published = {1: 0.050, 2: 0.083, 3: 0.107, 4: 0.126, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320}
    for looks, share in published.items():
        assert crossed[:, :looks].any(axis=1).mean() == pytest.approx(share, abs=0.01)


def test_the_same_seed_gives_the_same_table(simulation: ModuleType) -> None:
    assert simulation.coverage_runs(6, 50, 0.5, 0.05) == simulation.coverage_runs(6, 50, 0.5, 0.05)
    one, two = (simulation.reduction_runs(7, 20, 0.3, 0.3, None) for _ in range(2))
    assert one == two
