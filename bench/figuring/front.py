"""Which pipelines no other beats in everything: series against what is seen and conserved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from figuring.summary import conservation

Figures = Mapping[str, Any]
BUDGET = ("process-topk-v1", "process-adaptive-v1", "process-intelligent-v1")
_WIDTH, _PANEL, _GAP = 720, 150, 46
_LEFT, _RIGHT, _TOP = 62, 170, 28
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
        ("missed of the top ten", lambda f: losses(f)[1]),
        ("hogs hidden", lambda f: losses(f)[2]),
        ("error of the worst total", lambda f: min(1.0, losses(f)[3])),
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
    "<style>.g{stroke:#8884;stroke-width:1}.t{fill:#777}.h{fill:#777;font-weight:600}"
    ".stock{stroke:#777;fill:none;stroke-width:1.6}.ours{stroke:#0a7d5a;fill:none;stroke-width:1.6}"
    ".stock.on{fill:#777}.ours.on{fill:#0a7d5a}.n{fill:#777}.n.ours{fill:#0a7d5a;stroke:none}"
    "@media(prefers-color-scheme:dark){.ours{stroke:#3fc79a}.ours.on,.n.ours{fill:#3fc79a}"
    ".t,.h,.n,.stock.on{fill:#aaa}.stock{stroke:#aaa}}</style>"
)


def _panel(
    name: str,
    of: Callable[[Figures], float],
    rows: Sequence[Figures],
    top: float,
    x: Callable[[float], float],
    on: Sequence[str],
) -> str:
    highest = max([of(f) for f in rows] + [0.01])

    def y(value: float) -> float:
        return top + _PANEL - value / highest * _PANEL

    parts = [f'<text class="h" x="{_LEFT}" y="{top - 10}">{escape(name)} (lower is better)</text>']
    for share in (0.0, 0.5, 1.0):
        at = y(share * highest)
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="t" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{share * highest:.1%}</text>"
        )
    taken: list[tuple[float, float]] = []
    for figures in sorted(rows, key=lambda f: (-of(f), losses(f)[0])):
        pipeline = figures["pipeline"]
        kind = "ours" if pipeline in BUDGET else "stock"
        at_x, at_y = x(losses(figures)[0]), y(of(figures))
        filled = " on" if pipeline in on else ""
        label_y = at_y + 4
        while any(abs(label_y - b) < 11 and abs(at_x - a) < 140 for a, b in taken):
            label_y -= 11
        taken.append((at_x, label_y))
        short = pipeline.removeprefix("process-").removesuffix("-v1")
        parts.append(
            f'<circle class="{kind}{filled}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="4"/>'
            f'<text class="n {kind}" x="{at_x + 8:.1f}" y="{label_y:.1f}">{escape(short)}</text>'
        )
    return "".join(parts)


def _marks(low: float, high: float) -> list[int]:
    steps = [k * 10**n for n in range(7) for k in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
