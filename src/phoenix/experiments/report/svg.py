"""Plots as text: lines, a band and bars, drawn from numbers into inline SVG.

The charting libraries looked at (pygal, leather, matplotlib) either bring their colours and
scripts along, cannot follow the reader's dark or light page, or add tens of megabytes to an
installation for six small plots. So this draws just what the report needs: shapes carry classes
and the page's style sheet gives them colours, on a screen as on paper. What is not known is a gap,
never a zero; the same numbers give the same bytes; every plot says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 30
_GRID_LINES = 4
_BAR_HEIGHT, _BAR_GAP, _BAR_LABEL, _BAR_TEXT = 15, 14, 210, 150

Point = tuple[float, float | None]
Format = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve; `style` is the class that the page's style sheet colours."""

    name: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Lower and upper bound over x; None where there is none."""

    points: Sequence[tuple[float, float | None, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A horizontal line that must be kept to."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One horizontal bar; a value of None is written as `text` alone."""

    label: str
    style: str
    value: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From data to the drawing, and the values worth a line of the grid."""

    low: float
    high: float
    start: float
    end: float
    marks: tuple[float, ...] = ()

    def at(self, value: float) -> float:
        """Where `value` lies, kept inside the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def lines(
    name: str,
    says: str,
    curves: Sequence[Line],
    form: Format,
    *,
    band: Band | None = None,
    limit: Limit | None = None,
    floor: float | None = 0.0,
    ceiling: float | None = None,
    x_title: str = "seconds of evidence",
) -> str:
    """Curves over x as one SVG element; without a single value it says so.

    Args:
        name: unique on the page; becomes part of the ids that name the plot to a screen reader.
        says: what the plot shows, in a sentence.
        form: how a value of the vertical axis is written.
        floor, ceiling: the axis reaches at least to these; None leaves it to the data.
    """
    values = _values(curves, band, limit)
    xs = [x for curve in curves for x, y in curve.points if y is not None]
    if not values or not xs:
        return _empty(name, says)
    y = _scale(_stretched(values, floor, ceiling), HEIGHT - _BOTTOM, _TOP)
    x = _scale([min(xs), max(xs)], _LEFT, WIDTH - _RIGHT, tight=True)
    parts = [_grid(x, y, form, x_title)]
    if band is not None:
        parts.append(_band(band, x, y))
    if limit is not None:
        parts.append(_limit(limit, y))
    parts += [_curve(curve, x, y) for curve in curves]
    return _framed(name, says, parts, HEIGHT)


def bars(name: str, says: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars on one common scale as one SVG element."""
    known = [row.value for row in rows if row.value is not None]
    if not rows:
        return _empty(name, says)
    most = max([*known, 0.0]) or 1.0
    room = WIDTH - _BAR_LABEL - _BAR_TEXT
    parts = []
    for number, row in enumerate(rows):
        top = _TOP + number * (_BAR_HEIGHT + _BAR_GAP)
        middle = top + _BAR_HEIGHT - 3.5
        length = 0.0 if row.value is None else room * row.value / most
        parts.append(
            f'<text class="label" x="{_BAR_LABEL - 10}" y="{middle:.1f}" text-anchor="end">'
            f"{escape(row.label)}</text>"
            f'<rect class="bar {escape(row.style)}" x="{_BAR_LABEL}" y="{top}" rx="2"'
            f' width="{length:.1f}" height="{_BAR_HEIGHT}"/>'
            f'<text class="label" x="{_BAR_LABEL + length + 8:.1f}" y="{middle:.1f}">'
            f"{escape(row.text)}</text>"
        )
    return _framed(name, says, parts, _TOP + len(rows) * (_BAR_HEIGHT + _BAR_GAP))


def marks(low: float, high: float, about: int = _GRID_LINES) -> tuple[float, ...]:
    """Round values from at or below `low` to at or above `high`: steps of 1, 2 or 5 times 10^n."""
    assert high > low, "a scale has a length"
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(k * step, 12) for k in range(first, last + 1))


def _values(curves: Sequence[Line], band: Band | None, limit: Limit | None) -> list[float]:
    found = [y for curve in curves for _, y in curve.points if y is not None]
    if not found:
        return []
    if band is not None:
        found += [v for _, low, high in band.points for v in (low, high) if v is not None]
    return found if limit is None else [*found, limit.value]


def _stretched(values: list[float], floor: float | None, ceiling: float | None) -> list[float]:
    low = min(values) if floor is None else min(floor, *values)
    high = max(values) if ceiling is None else max(ceiling, *values)
    return [low, high]


def _scale(ends: list[float], start: float, end: float, *, tight: bool = False) -> Scale:
    low, high = ends
    if high - low < 1e-9 * max(1.0, abs(high)):
        high = low + max(abs(low), 1.0)
    found = marks(low, high)
    if tight:
        inside = tuple(mark for mark in found if low <= mark <= high)
        return Scale(low=low, high=high, start=start, end=end, marks=inside)
    return Scale(low=found[0], high=found[-1], start=start, end=end, marks=found)


def _grid(x: Scale, y: Scale, form: Format, x_title: str) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y.at(m):.1f}" y2="{y.at(m):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 7}" y="{y.at(m) + 3.5:.1f}" text-anchor="end">'
        f"{escape(form(m))}</text>"
        for m in y.marks
    ]
    parts += [
        f'<text class="tick" x="{x.at(m):.1f}" y="{bottom + 14}" text-anchor="middle">{m:g}</text>'
        for m in x.marks
    ]
    below = f'<text class="tick" x="{right}" y="{HEIGHT - 3}" text-anchor="end">'
    parts.append(f"{below}{escape(x_title)}</text>")
    return "".join(parts)


def _curve(curve: Line, x: Scale, y: Scale) -> str:
    path, drawing = [], False
    for at, value in curve.points:
        if value is None:
            drawing = False
            continue
        path.append(f"{'L' if drawing else 'M'}{x.at(at):.1f} {y.at(value):.1f}")
        if not drawing:
            path.append("h.01")  # a lone value is a dot, not nothing
        drawing = True
    return f'<path class="line {escape(curve.style)}" d="{"".join(path)}"/>'


def _band(band: Band, x: Scale, y: Scale) -> str:
    known = [(at, lo, hi) for at, lo, hi in band.points if lo is not None and hi is not None]
    if not known:
        return ""
    there = [f"{x.at(at):.1f} {y.at(hi):.1f}" for at, _, hi in known]
    back = [f"{x.at(at):.1f} {y.at(lo):.1f}" for at, lo, _ in reversed(known)]
    return f'<path class="band" d="M{"L".join(there + back)}Z"/>'


def _limit(limit: Limit, y: Scale) -> str:
    at = y.at(limit.value)
    above = at - 5 if at > _TOP + 16 else at + 13
    return (
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="limit" x="{_LEFT + 6}" y="{above:.1f}">{escape(limit.name)}</text>'
    )


def _empty(name: str, says: str) -> str:
    text = f'<text class="label" x="{WIDTH / 2:g}" y="40" text-anchor="middle">'
    return _framed(name, says, [f"{text}insufficient data</text>"], 80)


def _framed(name: str, says: str, parts: Sequence[str], height: float) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' aria-labelledby="{escape(name)}-title {escape(name)}-desc">'
        f'<title id="{escape(name)}-title">{escape(name.replace("-", " "))}</title>'
        f'<desc id="{escape(name)}-desc">{escape(says)}</desc>{"".join(parts)}</svg>'
    )
