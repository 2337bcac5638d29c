"""Which pipelines no other beats in everything: series against what is seen and conserved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from figuring.summary import conservation
from phoenix.experiments.report import svg

Figures = Mapping[str, Any]
BUDGET = ("process-topk-v1", "process-adaptive-v1", "process-intelligent-v1")
_WIDTH, _PANEL, _GAP = 720, 150, 46
_LEFT, _RIGHT, _TOP = 62, 70, 34
_FONT = 'font-family="system-ui, sans-serif" font-size="11"'
# Everything below this is the same point: errors of floating point are no difference.
_LEAST_ERROR = 1e-6


def losses(figures: Figures) -> tuple[float, float, float, float]:
    """What one wants little of: series, recall missed, hidden hogs, error of the totals."""
    recalls = [figures[name]["mean"] for name in ("recall_cpu", "recall_memory")]
    missed = 1 - min((r for r in recalls if r is not None), default=1.0)
    hidden = figures["hidden_hogs"] / figures["hogs"] if figures["hogs"] else 0.0
    error = conservation(figures)
    return (
        float(figures["series"]["mean"]),
        round(missed, 6),
        hidden,
        1.0 if error is None else max(error, _LEAST_ERROR),
    )


def beats(one: Figures, other: Figures) -> bool:
    """Nowhere worse, and better somewhere."""
    a, b = losses(one), losses(other)
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def front(found: Figures) -> list[str]:
    """The pipelines that none beats."""
    rows = found["pipelines"]
    return [f["pipeline"] for f in rows if not any(beats(other, f) for other in rows)]


def told(found: Figures) -> str:
    """The front as text, by number of series."""
    on = front(found)
    rows = sorted(found["pipelines"], key=lambda f: losses(f)[0])
    lines = ["Pareto front (series, recall missed, hidden hogs, error of totals):"]
    for figures in rows:
        series, missed, hidden, error = losses(figures)
        beaten = [o["pipeline"] for o in rows if beats(o, figures)]
        where = "on the front" if figures["pipeline"] in on else f"beaten by {', '.join(beaten)}"
        shown = "0" if error <= _LEAST_ERROR else f"{error:.2%}"
        lines.append(
            f"  {figures['pipeline']:28} {series:9,.0f} series  {missed:7.2%} missed "
            f" {hidden:7.2%} hogs hidden  {shown:>8} error   {where}"
        )
    return "\n".join(lines)


def drawn(found: Figures) -> str:
    """The front as SVG: three panels over one axis of series."""
    rows = found["pipelines"]
    panels: tuple[tuple[str, Callable[[Figures], float]], ...] = (
        ("top ten missed", lambda f: 100 * losses(f)[1]),
        ("hogs hidden", lambda f: 100 * losses(f)[2]),
        ("error of the worst total", lambda f: 100 * min(1.0, losses(f)[3])),
    )
    most = max(losses(f)[0] for f in rows)
    fewest = min(losses(f)[0] for f in rows)
    low, high = math.log10(max(1.0, fewest) / 1.3), math.log10(most * 1.3)

    def x(series: float) -> float:
        share = (math.log10(max(1.0, series)) - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = []
    for number, (name, of) in enumerate(panels):
        top = _TOP + number * (_PANEL + _GAP)
        parts.append(_panel(name, of, rows, top, x, front(found)))
    bottom = _TOP + len(panels) * (_PANEL + _GAP)
    parts += [
        f'<text class="t" x="{x(mark):.1f}" y="{bottom - _GAP + 16}" text-anchor="middle">'
        f"{mark:,}</text>"
        for mark in _marks(10**low, 10**high)
    ]
    parts.append(
        f'<text class="t" x="{_WIDTH - _RIGHT}" y="{bottom - _GAP + 32}" text-anchor="end">'
        "series in a scrape (logarithmic); filled: on the front</text>"
    )
    says = escape(told(found))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom}" role="img"'
        f" {_FONT}>"
        f"<title>Series against what is hidden and lost, {found['recording']['load']['profile']}"
        f"</title><desc>{says}</desc>{_STYLE}{''.join(parts)}</svg>\n"
    )


_STYLE = (
    "<style>.g{stroke:#8886;stroke-width:1}.t{fill:#777}.h{fill:#777;font-weight:600}"
    ".o{fill:#0a7d5a}.stock{stroke:#777;fill:none;stroke-width:1.6}"
    ".ours{stroke:#0a7d5a;fill:none;stroke-width:1.6}.stock.on{fill:#777}.ours.on{fill:#0a7d5a}"
    "@media(prefers-color-scheme:dark){.ours{stroke:#3fc79a}.ours.on,.o{fill:#3fc79a}"
    ".t,.h,.stock.on{fill:#aaa}.stock{stroke:#aaa}}</style>"
)


def _panel(
    name: str,
    of: Callable[[Figures], float],
    rows: Sequence[Figures],
    top: float,
    x: Callable[[float], float],
    on: Sequence[str],
) -> str:
    ticks = svg.marks(0.0, max([of(f) for f in rows] + [0.01]), about=3)

    def y(value: float) -> float:
        return top + _PANEL - value / ticks[-1] * _PANEL

    parts = [f'<text class="h" x="{_LEFT}" y="{top - 12}">{escape(name)} (less is better)</text>']
    for mark in ticks:
        at = y(mark)
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="t" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{mark:.3g} %'
            "</text>"
        )
    taken: list[tuple[float, float, float]] = []
    ordered = sorted(rows, key=lambda f: (-losses(f)[0], of(f)))
    parts += [_named(each, x(losses(each)[0]), y(of(each)), on, taken) for each in ordered]
    return "".join(parts)


def _named(
    figures: Figures,
    x: float,
    y: float,
    on: Sequence[str],
    taken: list[tuple[float, float, float]],
) -> str:
    """A circle with its name, moved up with a line to it where another name stands already."""
    pipeline = figures["pipeline"]
    kind = "ours" if pipeline in BUDGET else "stock"
    short = pipeline.removeprefix("process-").removesuffix("-v1")
    left, right, at = x + 8, x + 8 + 6.2 * len(short), y + 4
    while any(abs(at - other) < 12 and left < r and b < right for b, r, other in taken):
        at -= 12
    taken.append((left, right, at))
    leader = ""
    if at < y + 3:
        leader = f'<line class="g" x1="{x:.1f}" y1="{y:.1f}" x2="{left:.1f}" y2="{at - 3:.1f}"/>'
    filled = " on" if pipeline in on else ""
    return (
        f'{leader}<circle class="{kind}{filled}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        f'<text class="{"o" if kind == "ours" else "t"}" x="{left:.1f}" y="{at:.1f}">'
        f"{escape(short)}</text>"
    )


def _marks(low: float, high: float) -> list[int]:
    steps = [k * 10**n for n in range(7) for k in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
