"""Plots tell what was measured: gaps stay gaps, scales are round, nothing leaves the drawing."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from phoenix.experiments.report import svg

_FINITE = st.floats(min_value=-1e12, max_value=1e12)


def drawn(points: list[svg.Point], **options: object) -> str:
    line = svg.Line(name="a", style="candidate", points=points)
    return svg.lines("plot", "says", [line], "{:g}".format, **options)  # type: ignore[arg-type]


def test_an_unknown_value_is_a_gap_and_never_a_zero() -> None:
    path = re.search(r'class="line candidate" d="([^"]+)"', drawn([(0, 5), (1, None), (2, 5)]))
    assert path is not None
    assert path.group(1).count("M") == 2
    assert "L" not in path.group(1)


def test_no_value_at_all_is_said_in_words() -> None:
    assert "insufficient data" in drawn([(0, None)])
    assert "insufficient data" in drawn([])


def test_a_bar_of_an_unknown_amount_has_no_length() -> None:
    bar = svg.Bar(label="x", style="baseline", value=None, text="insufficient data")
    picture = svg.bars("plot", "says", [bar])
    assert 'width="0.0"' in picture
    assert "insufficient data" in picture


def test_labels_are_escaped() -> None:
    bar = svg.Bar(label="<b>&", style="baseline", value=1.0, text='"><x>')
    assert "<b>" not in svg.bars("plot", "says <i>", [bar])
    assert "<x>" not in svg.bars("plot", "says <i>", [bar])
    assert "<i>" not in svg.bars("plot", "says <i>", [bar])


@given(low=_FINITE, length=st.floats(min_value=1e-3, max_value=1e9))
def test_marks_reach_around_the_data_in_a_few_steps(low: float, length: float) -> None:
    high = low + length
    if high - low < 1e-9 * max(1.0, abs(low)):
        return
    found = svg.marks(low, high)
    slack = 1e-6 * (high - low) + 1e-9 * max(abs(low), abs(high))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 8


@given(st.lists(st.tuples(st.integers(0, 10_000), st.one_of(st.none(), _FINITE)), max_size=30))
def test_every_coordinate_stays_inside_the_drawing(points: list[svg.Point]) -> None:
    picture = drawn(points)
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", picture):
        assert 0 <= float(x) <= svg.WIDTH
        assert 0 <= float(y) <= svg.HEIGHT
