"""The result of an experiment on a terminal: what was decided, why, what is lost, what it saves."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phoenix.experiments.report.reading import checked, drawing
from phoenix.experiments.report.text import UNKNOWN, count, kib, percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

WIDTH = 80
NAMES_SHOWN = 12
_COLOURS = {
    "adopt_candidate": "green",
    "keep_baseline": "red",
    "needs_tuning": "yellow",
    "inconclusive": "yellow",
}


def report(document: Mapping[str, Any]) -> RenderableType:
    """The whole result, at most 80 columns wide.

    Raises:
        ReportUnreadable: it is no report that this version knows, or a part of it is broken.
    """
    # A terminal obeys escape sequences, and any program may put one into its name.
    document = checked(document)
    with drawing():
        return _whole(document)


def save_terminal_svg(document: Mapping[str, Any], path: Path) -> None:
    """The same as a picture, for pages that show what a terminal shows. It fetches no font and
    asks nothing else of any server; the same document gives the same bytes."""
    from rich.console import Console

    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH + 2, file=nowhere, force_terminal=True)
        console.print(report(document))
    title = f"phoenix experiment report {document['experiment']['id']}"
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL)
    path.write_text(picture, encoding="utf-8")


def _whole(document: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    return Group(
        _verdict(document),
        _section("Guardrails"),
        _guardrails(document["verdict"]["guardrails"]),
        _section("What each arm emits in one scrape"),
        _reduction(document["reduction"]),
        _section(_fate_title(document["processes"])),
        _hidden(document["processes"]),
        _section(_cost_title(document["costs"])),
        _costs(document["costs"]["cards"]),
        _section("What the measurement cost this host"),
        _overhead(document),
        *_findings(document["configurations"].get("findings")),
        Text(f"\n{_ticks(document['ticks'])}", style="dim"),
    )


def _verdict(document: Mapping[str, Any]) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    verdict, experiment = document["verdict"], document["experiment"]
    colour = _COLOURS[verdict["outcome"]]
    text = Text(verdict["sentence"])
    if verdict["long_run"]:
        text.append(f"\n\n{verdict['long_run']}", style="dim")
    title = f"[bold]{verdict['outcome'].replace('_', ' ').upper()}[/bold]"
    scope = "this host, this window" if verdict["scope"] == "window" else "the long run"
    return Panel(
        text,
        title=title,
        subtitle=Text(f"{experiment['candidate']} · {scope}"),
        border_style=colour,
        width=WIDTH,
    )


def _guardrails(guardrails: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for g in guardrails:
        marks = {True: ("passed", "green"), False: ("FAILED", "red"), None: ("no data", "yellow")}
        mark, style = marks[g["passed"]]
        if not g["enforced"]:
            mark, style = "reported", "dim"
        rows.append((g["name"].replace("_", " "), g["required"], g["measured"], (mark, style)))
    return _table(("guardrail", "required", "measured", ""), rows)


def _reduction(reduction: Mapping[str, Any]) -> Table:
    labels = (
        ("series", "active series", count),
        ("points", "points", count),
        ("raw_bytes", "bytes", kib),
        ("wire_bytes", "bytes, compressed", kib),
        ("series_over_the_run", "series over the run", count),
    )
    rows = []
    for key, label, form in labels:
        of = reduction[key]
        rows.append((label, form(of["baseline"]), form(of["candidate"]), percent(of["saved"])))
    return _table(("", "baseline", "candidate", "saved"), rows, right=(1, 2, 3))


def _fate_title(processes: Mapping[str, Any]) -> str:
    """Folded and lost are two things to a reader; which it is was measured."""
    fates = {
        "folded": "Folded: not shown by name any more, but in the sums (totals agree)",
        "lost": "Lost: not shown by name any more, nor in any sum (totals do not agree)",
    }
    return fates.get(processes.get("fate") or "", "Not shown by name any more")


def _hidden(processes: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    hidden = processes["hidden"]
    if not hidden:
        return Text("  Nothing: every name the baseline shows, the candidate shows too.")
    rows = [
        (h["name"], percent(h["cpu_share"]), f"{h['memory_bytes'] / 2**20:,.0f} MiB",
         ("critical", "red") if h["critical"] else "")
        for h in hidden[:NAMES_SHOWN]
    ]  # fmt: skip
    more = processes["hidden_count"] - len(rows)
    if more > 0:
        rows.append((f"… and {more} more, all in the report", "", "", ""))
    return _table(("name", "of the CPU", "memory", ""), rows, right=(1, 2))


def _costs(cards: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for card in cards:
        saved = f"{card['saved_percent']} %" if card["saved_percent"] else ""
        rows.append((card["title"], _amount(card["baseline"]), _amount(card["candidate"]), saved))
    return _table(("billed by", "baseline", "candidate", "saved"), rows, right=(1, 2, 3))


def _cost_title(costs: Mapping[str, Any]) -> str:
    return (
        f"A month of this host, extrapolated (a scrape every {costs['priced_interval_s']:g} s, "
        f"{costs['month_days']} days)"
    )


def _amount(priced: Mapping[str, Any]) -> str:
    if priced["month"]:
        return str(priced["month"])
    return f"at least {priced['at_least']}" if priced["at_least"] else UNKNOWN


def _overhead(document: Mapping[str, Any]) -> Table:
    rows = []
    for part, use in document["overhead"].items():
        cpu = UNKNOWN if use["cores"] is None else f"{percent(use['cores'])} of a core"
        memory = use["rss_max_bytes"]
        rows.append((part, cpu, UNKNOWN if memory is None else f"{memory / 2**20:,.0f} MiB"))
    unseen = document["unobserved"]
    if unseen["unobserved_cpu_s"] is not None:
        share = unseen["unobserved_cpu_s"] / unseen["host_cpu_s"] if unseen["host_cpu_s"] else 0.0
        rows.append((
            "not seen by any scrape",
            f"{unseen['unobserved_cpu_s']:.1f} CPU s",
            f"{percent(share)} of the host's busy time",
        ))  # fmt: skip
    return _table(("", "CPU", "memory"), rows, right=(1, 2))


def _findings(findings: Sequence[Mapping[str, Any]] | None) -> list[RenderableType]:
    """What the linter says of the configuration to deploy; nothing if it says nothing."""
    if not findings:
        return []
    rows = [(f["rule"], f"{f['line']}", f"{f['message']} {f['remedy']}") for f in findings]
    return [
        _section("What the linter says of the configuration to deploy"),
        _table(("rule", "line", ""), rows, right=(1,)),
    ]


def _ticks(ticks: Mapping[str, Any]) -> str:
    left_out = ", ".join(f"{n} {why}" for why, n in ticks["excluded"].items()) or "none"
    return (
        f"{ticks['warmup']} ticks of warm-up, {ticks['evidence']} of evidence, left out: {left_out}"
    )


def _section(title: str) -> RenderableType:
    from rich.text import Text

    return Text(f"\n{title}", style="bold")


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | tuple[str, str]]],
    right: Sequence[int] = (),
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH - 2)
    for i, column in enumerate(columns):
        drawn.add_column(column, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(*cell) if isinstance(cell, tuple) else Text(cell) for cell in row))
    return drawn
