"""The arithmetic of the measurement: intervals hold what they should, fronts are fronts."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"figuring.{name}")

    return load


def test_batches_hold_every_value_once_in_order(module: Any) -> None:
    cut = module("summary").batches(list(range(107)), 20)
    assert [value for batch in cut for value in batch] == list(range(107))
    assert {len(batch) for batch in cut} == {5, 6}


def test_the_interval_holds_the_mean_of_correlated_scrapes_about_as_often_as_it_says(
    module: Any,
) -> None:
    dice = random.Random(1)
    held = 0
    for _ in range(400):
        value, values = 0.0, []
        for _ in range(360):
            value = 0.5 * value + dice.gauss(0, 1)
            values.append(value)
        found = module("summary").mean(values)
        held += abs(found["mean"]) <= found["half"]
    # 95 % of 400, less what batches of 18 still share; without batches it would be under 75 %.
    assert 0.91 <= held / 400 <= 0.98


def test_what_is_unknown_has_no_mean_and_no_interval(module: Any) -> None:
    assert module("summary").mean([None, None]) == {"mean": None, "half": None}
    assert module("summary").mean([None, 2.0]) == {"mean": 2.0, "half": None}


def figures(name: str, series: float, recall: float, hidden: int, error: float) -> dict[str, Any]:
    return {
        "pipeline": name,
        "series": {"mean": series},
        "recall_cpu": {"mean": recall},
        "recall_memory": {"mean": 1.0},
        "hogs": 10,
        "hidden_hogs": hidden,
        "counters": {"process.cpu.time": {"error": error}},
        "levels": {},
    }


def test_the_front_holds_who_is_beaten_by_nobody(module: Any) -> None:
    front = module("front")
    found = {
        "recording": {"load": {"profile": "test"}},
        "pipelines": [
            figures("all", 900, 1.0, 0, 0.0),
            figures("budget", 200, 1.0, 0, 1e-16),
            figures("few", 90, 0.3, 9, -0.7),
            figures("worse", 300, 0.9, 3, 0.1),
        ],
    }
    assert front.front(found) == ["budget", "few"]
    told = front.told(found)
    assert "beaten by budget" in told
    assert "<svg" in front.drawn(found)
    assert front.drawn(found) == front.drawn(found)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.5, "50.0 %"), (None, "-")]
)
def test_a_share_is_never_rounded_up_to_all(module: Any, value: float | None, text: str) -> None:
    assert module("words").percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1e-16, "0"), (-1e-5, "-1.0e-05"), (0.0449, "4.49 %"), (None, "-")]
)
def test_only_the_precision_of_numbers_is_told_as_zero(
    module: Any, value: float | None, text: str
) -> None:
    assert module("words").fine(value) == text


def test_the_page_of_figures_says_what_the_kept_results_say(module: Any) -> None:
    contents = module("page").contents()
    assert len(contents) > 1
    stale = [path.name for path, text in contents.items() if path.read_text() != text]
    assert stale == [], "run: python bench/pipelines.py --page"
