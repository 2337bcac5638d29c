"""The report's seven plots: which numbers of the document each shows, and what it says in words.

A run of thousands of ticks is thinned to a few hundred points before it is drawn: the mean of each
stretch for what is an amount, the worst of it for coverage and conservation, where one bad tick is
the news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phoenix.experiments.report import svg
from phoenix.experiments.report.text import UNKNOWN, count, fine, mib, percent

POINTS_MAX = 240
BASELINE, CANDIDATE = 0, 1

Row = Mapping[str, Any]
Chosen = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One plot with its heading, a sentence below it, and what its colours mean."""

    title: str
    says: str
    drawing: str
    legend: tuple[tuple[str, str], ...] = ()


_ARMS = (("baseline", "baseline"), ("candidate", "candidate"))


def all_of(document: Mapping[str, Any]) -> list[Figure]:
    """Every figure, in the order of the page."""
    rows = document["series"]["ticks"]
    interval_s = float(document["experiment"]["interval_s"])
    return [
        _series(rows, interval_s),
        _reduction(document, rows, interval_s),
        _coverage(rows, interval_s),
        _conservation(document, rows, interval_s),
        _cpu(rows, interval_s),
        _memory(rows, interval_s),
        _cost(document["costs"]),
    ]


def _series(rows: Sequence[Row], interval_s: float) -> Figure:
    curves = _both(rows, interval_s, "series")
    says = f"Series in one scrape: {_means(curves, count)}."
    return Figure(
        title="Series per scrape",
        says=says,
        drawing=svg.lines("series-per-scrape", says, curves, count),
        legend=_ARMS,
    )


def _reduction(document: Mapping[str, Any], rows: Sequence[Row], interval_s: float) -> Figure:
    saved = svg.Line(name="saved", style="candidate", points=_thin(rows, interval_s, "saved"))
    path = [
        (p["ticks"] * interval_s, p["low"], p["high"]) for p in document["series"]["trajectory"]
    ]
    required = document["experiment"].get("required_reduction")
    limit = None
    if required is not None:
        limit = svg.Limit(name=f"required {percent(required)}", value=float(required))
    known = [(low, high) for _, low, high in path if low is not None and high is not None]
    legend: tuple[tuple[str, str], ...] = (("candidate", "saved in this scrape"),)
    if known:
        low, high = known[-1]
        says = (
            f"Share of the series saved, scrape by scrape, with the 95 % confidence sequence of"
            f" the long run: {percent(low)} to {percent(high)} at the end."
        )
        legend = (*legend, ("band", "95 % confidence sequence, long run"))
    else:
        says = "Share of the series saved, scrape by scrape. No band: the long run needs more data."
    drawing = svg.lines(
        "reduction-of-series",
        says,
        [saved],
        percent,
        band=svg.Band(points=[(x, _inside(lo), _inside(hi)) for x, lo, hi in path]),
        limit=limit,
        ceiling=1.0,
    )
    return Figure(title="Reduction with its band", says=says, drawing=drawing, legend=legend)


def _coverage(rows: Sequence[Row], interval_s: float) -> Figure:
    points = _thin(rows, interval_s, "coverage", min)
    worst = min((y for _, y in points if y is not None), default=None)
    says = (
        "No critical process was seen, so there is nothing to cover."
        if worst is None
        else f"Critical processes of the baseline that the candidate shows: never below"
        f" {percent(worst)}."
    )
    curve = svg.Line(name="coverage", style="candidate", points=points)
    return Figure(
        title="Coverage of critical processes",
        says=says,
        drawing=svg.lines("coverage-of-critical-processes", says, [curve], percent, ceiling=1.0),
    )


def _conservation(document: Mapping[str, Any], rows: Sequence[Row], interval_s: float) -> Figure:
    points = _thin(rows, interval_s, "conservation_error", max)
    worst = max((y for _, y in points if y is not None), default=None)
    says = (
        "No total could be compared."
        if worst is None
        else f"Difference of the candidate's resident bytes from the baseline's: at most"
        f" {fine(worst)}."
    )
    tolerance = document["experiment"].get("conservation_tolerance")
    limit = None
    if tolerance is not None:
        limit = svg.Limit(name=f"allowed {fine(tolerance)}", value=float(tolerance))
    curve = svg.Line(name="error", style="candidate", points=points)
    return Figure(
        title="Conservation error",
        says=says,
        drawing=svg.lines("conservation-error", says, [curve], fine, limit=limit, ceiling=0.001),
    )


def _cpu(rows: Sequence[Row], interval_s: float) -> Figure:
    curves = _both(rows, interval_s, "cores")
    says = f"Share of one core that each arm's collector used: {_means(curves, fine)}."
    return Figure(
        title="Collector CPU",
        says=says,
        drawing=svg.lines("collector-cpu", says, curves, fine),
        legend=_ARMS,
    )


def _memory(rows: Sequence[Row], interval_s: float) -> Figure:
    curves = _both(rows, interval_s, "rss")
    says = f"Resident memory of each arm's collector: {_means(curves, mib)}."
    scaled = [
        svg.Line(
            name=c.name,
            style=c.style,
            points=[(x, None if y is None else y / 2**20) for x, y in c.points],
        )
        for c in curves
    ]
    return Figure(
        title="Collector memory",
        says=says,
        drawing=svg.lines("collector-memory", says, scaled, lambda v: f"{v:,.0f} MiB"),
        legend=_ARMS,
    )


def _cost(costs: Mapping[str, Any]) -> Figure:
    """Bars are compared within a currency only: each currency has its own longest bar."""
    longest: dict[str, int] = {}
    for card in costs["cards"]:
        amounts = [card[arm]["minor"] or 0 for arm in ("baseline", "candidate")]
        longest[card["currency"]] = max(longest.get(card["currency"], 1), *amounts)
    bars = [
        _bar(card, arm, longest[card["currency"]])
        for card in costs["cards"]
        for arm in ("baseline", "candidate")
    ]
    says = (
        "A month of this host under each rate card, extrapolated. A pale bar is a lower bound:"
        " that meter looks at more time than was measured."
    )
    return Figure(
        title="Cost of a month",
        says=says,
        drawing=svg.bars("cost-of-a-month", says, bars),
        legend=_ARMS,
    )


def _bar(card: Mapping[str, Any], arm: str, longest: int) -> svg.Bar:
    priced = card[arm]
    bounded = priced["month"] is None
    text = priced["month"] or UNKNOWN
    if bounded and priced["at_least"] is not None:
        text = f"at least {priced['at_least']}"
    return svg.Bar(
        label=_short(card["title"]) if arm == "baseline" else "",
        style=f"{arm} least" if bounded else arm,
        value=None if priced["minor"] is None else priced["minor"] / longest,
        text=str(text),
    )


def _both(rows: Sequence[Row], interval_s: float, key: str) -> list[svg.Line]:
    return [
        svg.Line(name=arm, style=arm, points=_thin(rows, interval_s, key, index=index))
        for index, arm in enumerate(("baseline", "candidate"))
    ]


def _thin(
    rows: Sequence[Row],
    interval_s: float,
    key: str,
    choose: Chosen | None = None,
    index: int | None = None,
) -> list[svg.Point]:
    """(seconds of evidence, value), at most POINTS_MAX of them; a stretch without a value is a
    gap."""
    points: list[svg.Point] = []
    for start, stretch in _stretches(rows):
        found = [row[key] if index is None else row[key][index] for row in stretch]
        known = [float(value) for value in found if value is not None]
        value = None if not known else (choose or _mean)(known)
        points.append(((start + (len(stretch) - 1) / 2) * interval_s, value))
    return points


def _stretches(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    size = max(1, -(-len(rows) // POINTS_MAX))
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]


def _means(curves: Sequence[svg.Line], form: Callable[[float], str]) -> str:
    """`baseline 1,004, candidate 150 on average`, or what is not known."""
    said = []
    for curve in curves:
        known = [y for _, y in curve.points if y is not None]
        said.append(f"{curve.name} {form(_mean(known)) if known else UNKNOWN}")
    return f"{', '.join(said)} on average"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _inside(value: float | None) -> float | None:
    """A bound of the band as far as it can be drawn: an early one may be far below nothing."""
    return None if value is None else min(1.0, max(0.0, value))


def _short(label: str) -> str:
    return label if len(label) <= 30 else f"{label[:29]}…"
