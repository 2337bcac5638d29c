"""Watching a run: both arms side by side, the reduction with its band, and what is waited for.

`LiveState` is what the API says, reduced to what is drawn; drawing it never asks anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from phoenix.experiments.report.reading import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LINE_EVERY_TICKS = 10
WIDTH = 78
_BAR = 40
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARKS_MAX = 8  # as many as fit into the line


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """One arm in the newest tick; None for what was not measured."""

    points_per_s: float | None = None
    series: int | None = None
    raw_bytes: int | None = None
    wire_bytes: int | None = None
    critical: int | None = None
    cores: float | None = None
    rss_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """An experiment as a watcher sees it."""

    id: str
    state: str
    phase: str
    sentence: str
    baseline: ArmView = field(default_factory=ArmView)
    candidate: ArmView = field(default_factory=ArmView)
    warmup: tuple[int, int] = (0, 0)
    ticks: tuple[int, int] = (0, 0)
    excluded: Mapping[str, int] = field(default_factory=dict)
    reduction: float | None = None
    band: tuple[float, float] | None = None
    withheld: str | None = None
    missing: tuple[str, ...] = ()

    @classmethod
    def from_api(cls, described: Mapping[str, Any]) -> LiveState:
        """From what `GET /api/v1/experiments/{id}` answers, whatever its state."""
        live: Mapping[str, Any] = described.get("live") or {}
        spec: Mapping[str, Any] = described.get("spec") or {}
        band = live.get("band")
        return cls(
            id=described["id"],
            state=described["state"],
            phase=described.get("phase") or "",
            sentence=visible(live.get("sentence") or described["state"]),
            baseline=_arm("baseline", live, spec),
            candidate=_arm("candidate", live, spec),
            warmup=(live.get("warmup_ticks", 0), spec.get("warmup_ticks", 0)),
            ticks=(live.get("ticks", 0), spec.get("evidence_ticks_max", 0)),
            excluded=live.get("excluded") or {},
            reduction=live.get("reduction"),
            band=(band[0], band[1]) if band else None,
            withheld=live.get("withheld"),
            # A terminal obeys escape sequences, and any program may put one into its name.
            missing=tuple(visible(name) for name in live.get("missing") or ()),
        )


class PlainLines:
    """The same for a pipe or a log: a line every ten ticks, and one for every change of phase."""

    def __init__(self) -> None:
        self._said: tuple[str, str, int] = ("", "", -1)

    def update(self, state: LiveState) -> list[str]:
        """The lines that this update is worth."""
        step = state.ticks[0] // LINE_EVERY_TICKS
        now = (state.state, state.phase, step)
        if now == self._said:
            return []
        self._said = now
        head = f"{state.id} {state.phase or state.state}"
        if state.reduction is None:
            return [f"{head}: {state.sentence}"]
        b, c = state.baseline, state.candidate
        return [
            f"{head}: tick {state.ticks[0]}/{state.ticks[1]}, "
            f"series {_count(b.series)} -> {_count(c.series)}, "
            f"reduction {state.reduction:.1%}, critical {_count(c.critical)}/{_count(b.critical)}; "
            f"{state.sentence}"
        ]


@contextmanager
def live_view(console: Console) -> Iterator[Callable[[LiveState], None]]:
    """Draw in place; yields the function that draws."""
    from rich.live import Live

    widths: list[float] = []

    def update(state: LiveState) -> None:
        if state.band is not None and state.withheld is None:
            width = round(state.band[1] - state.band[0], 4)
            if not widths or widths[-1] != width:
                widths.append(width)
        live.update(draw(state, widths))

    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield update


def sparkline(values: Sequence[float], most: int = _SPARKS_MAX) -> str:
    """The last `most` values as bars from nothing to the largest of them."""
    shown = values[-most:]
    top = max(shown, default=0.0)
    if top <= 0:
        return ""
    return "".join(_SPARKS[round(max(0.0, v) / top * (len(_SPARKS) - 1))] for v in shown)


def draw(state: LiveState, widths: Sequence[float] = ()) -> RenderableType:
    """One picture of 78 columns; `widths` are those the band has had, oldest first."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    arms = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH - 4)
    for name in ("", "baseline", "candidate", "saved"):
        arms.add_column(name, justify="left" if not name else "right")
    for label, of, text in _ROWS:
        b, c = of(state.baseline), of(state.candidate)
        arms.add_row(label, text(b), text(c), _saved(b, c) if label in _SAVED else "")
    done, most = state.ticks
    warm, warm_most = state.warmup
    progress = (
        f"warm-up {warm}/{warm_most}" if not done else f"evidence {done}/{most} {_bar(done, most)}"
    )
    parts: list[RenderableType] = [arms, Text(progress), _reduction(state, widths)]
    if state.excluded:
        left_out = ", ".join(f"{n} {why}" for why, n in state.excluded.items())
        parts.append(Text(f"left out: {left_out}", style="dim"))
    if state.missing:
        parts.append(Text(f"missing now: {', '.join(state.missing[:6])}", style="bold red"))
    parts.append(Text(state.sentence, style="italic"))
    title = f"{state.id} · {state.phase or state.state}"
    return Panel(Group(*parts), title=title, title_align="left", width=WIDTH)


def _reduction(state: LiveState, widths: Sequence[float]) -> RenderableType:
    from rich.text import Text

    if state.reduction is None:
        return Text("reduction: insufficient data", style="dim")
    text = Text(f"reduction of series here: {state.reduction:6.1%}", style="bold")
    if state.band is not None and state.withheld is None:
        text.append(f"   long run {state.band[0]:.1%} to {state.band[1]:.1%} (95 %)", style="cyan")
        if len(widths) > 1:
            text.append(f" {sparkline(widths)}", style="cyan")
    elif state.withheld is not None:
        text.append("   long run: not enough evidence yet", style="dim")
    return text


def _arm(name: str, live: Mapping[str, Any], spec: Mapping[str, Any]) -> ArmView:
    last: Mapping[str, Any] = live.get("last") or {}
    tick: Mapping[str, Any] = last.get(name) or {}
    use: Mapping[str, Any] = (live.get("use") or {}).get(name) or {}
    interval_s = spec.get("interval_s") or 1.0
    points = tick.get("points")
    return ArmView(
        points_per_s=None if points is None else points / interval_s,
        series=tick.get("series"),
        raw_bytes=tick.get("raw_bytes"),
        wire_bytes=tick.get("wire_bytes"),
        critical=last.get(f"critical_{name}"),
        cores=use.get("cores"),
        rss_bytes=use.get("rss_max_bytes"),
    )


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _kib(value: float | None) -> str:
    return "-" if value is None else f"{value / 1024:,.1f} KiB"


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value / 2**20:,.0f} MiB"


def _cores(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%} of a core"


def _saved(baseline: float | None, candidate: float | None) -> str:
    if not baseline or candidate is None:
        return ""
    return f"{1 - candidate / baseline:.1%}"


def _bar(done: int, most: int) -> str:
    filled = min(_BAR, _BAR * done // most) if most else 0
    return "█" * filled + "░" * (_BAR - filled)


_ROWS: tuple[tuple[str, Callable[[ArmView], float | None], Callable[[float | None], str]], ...] = (
    ("points/s", lambda a: a.points_per_s, _count),
    ("active series", lambda a: a.series, _count),
    ("bytes a scrape", lambda a: a.raw_bytes, _kib),
    ("compressed", lambda a: a.wire_bytes, _kib),
    ("critical seen", lambda a: a.critical, _count),
    ("collector CPU", lambda a: a.cores, _cores),
    ("collector memory", lambda a: a.rss_bytes, _mib),
)
_SAVED = ("points/s", "active series", "bytes a scrape", "compressed")
