"""Figures as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from figuring.summary import conservation

Figures = Mapping[str, Any]


def title(found: Figures) -> str:
    """What was measured on what."""
    recording, machine = found["recording"], found["machine"]
    load = recording["load"]
    return (
        f"{load['profile']}, seed {load['seed']}: {load['long_lived']:,} long-lived processes and"
        f" {load['births_per_s']:g} births a second; {recording['counted']:,} scrapes counted, one"
        f" every {recording['interval_s']:g} s; {machine['cpu']}, {machine['cores']} cores; commit"
        f" {found['commit']}. After ±: half of the 95 % interval, by 20 batch means."
    )


def tables(found: Figures) -> list[Table]:
    """One table for each thing that is asked."""
    made = []
    for heading, columns in COLUMNS:
        table = Table(title=heading, title_justify="left")
        table.add_column("pipeline", no_wrap=True)
        for name, _ in columns:
            table.add_column(name.strip(), justify="right", no_wrap=True)
        for figures in found["pipelines"]:
            table.add_row(figures["pipeline"], *(cell(figures) for _, cell in columns))
        made.append(table)
    return made


def markdown(found: Figures) -> str:
    """The same tables for a page."""
    lines = []
    for heading, columns in COLUMNS:
        lines += [f"**{heading}**", ""]
        lines.append("| pipeline | " + " | ".join(name.strip() for name, _ in columns) + " |")
        lines.append("|---|" + "---:|" * len(columns))
        lines += [
            f"| {f['pipeline']} | " + " | ".join(cell(f) for _, cell in columns) + " |"
            for f in found["pipelines"]
        ]
        lines.append("")
    return "\n".join(lines)


def span(of: Mapping[str, float | None], form: str) -> str:
    """A mean and half its interval."""
    if of["mean"] is None:
        return "-"
    text = form.format(of["mean"])
    return text if not of["half"] else f"{text} ±{form.format(of['half'])}"


def share(of: Mapping[str, float | None]) -> str:
    """The same for a share."""
    if of["mean"] is None:
        return "-"
    text = percent(of["mean"])
    return text if not of["half"] else f"{text} ±{of['half']:.1%}"


def covered(figures: Figures) -> str:
    """Coverage in the mean, and in the worst scrape."""
    return f"{share(figures['coverage'])}, {percent(figures['coverage_least'])}"


def saved(figures: Figures, other: str) -> str:
    """How many series fewer than another pipeline, in a scrape and over the run."""
    found = figures["saved_against"][other]
    return f"{percent(found['scrape'])}, {percent(found['run'])}" if found else "-"


def percent(value: float | None) -> str:
    """Never rounded up to all."""
    if value is None:
        return "-"
    return "100 %" if value == 1 else f"{min(value, 0.99949):.1%}".replace("%", " %")


def fine(value: float | None) -> str:
    """An error: exact zero within the precision of numbers is told as such."""
    if value is None:
        return "-"
    if abs(value) < 1e-9:
        return "0"
    return f"{value:.2%}".replace("%", " %") if abs(value) >= 1e-4 else f"{value:.1e}"


def error(counters: Mapping[str, Any], metric: str) -> str:
    """A counter's total, and its worst scrape."""
    if metric not in counters:
        return "not sent"
    of = counters[metric]
    around = f" ±{fine(of['half'])}" if of["half"] and of["half"] >= 1e-9 else ""
    return f"{fine(of['error'])}{around}; {fine(of['worst_scrape'])}"


def level(levels: Mapping[str, Any], metric: str) -> str:
    """A level in the mean, and in its worst scrape."""
    if metric not in levels:
        return "not sent"
    of = levels[metric]
    return f"{fine(of['mean'])}; {fine(of['worst_scrape'])}"


def category(worst: Mapping[str, Any] | None) -> str:
    """The category that is furthest off."""
    if worst is None:
        return "none told"
    return f"{fine(worst['error'])} ({worst['category']})" if worst["error"] > 1e-9 else "0"


COLUMNS: tuple[tuple[str, tuple[tuple[str, Callable[[Figures], str]], ...]], ...] = (
    (
        "What is paid for (a scrape)",
        (
            ("series", lambda f: span(f["series"], "{:,.0f}")),
            ("over the run", lambda f: f"{f['series_run']:,}"),
            ("against default", lambda f: saved(f, "default")),
            ("against slim", lambda f: saved(f, "slim")),
            ("points", lambda f: span(f["points"], "{:,.0f}")),
            ("bytes", lambda f: span(f["raw_bytes"], "{:,.0f}")),
            ("gzip", lambda f: span(f["wire_bytes"], "{:,.0f}")),
            ("CPU ms", lambda f: span(f["cpu_ms_a_scrape"], "{:.1f}")),
            ("MiB, 2nd to last fifth", lambda f: "{second_fifth:.0f} to {last_fifth:.0f}".format(
                **f["memory_mib"])),
            ("peak", lambda f: f"{f['peak_memory_mib']:.0f}"),
        ),
    ),
    (
        "What is seen",
        (
            ("shown, most", lambda f: f"{f['shown_most']:,}"),
            ("coverage, least", covered),
            ("recall CPU", lambda f: share(f["recall_cpu"])),
            ("strict", lambda f: share(f["recall_cpu_strict"])),
            ("recall memory", lambda f: share(f["recall_memory"])),
            ("strict ", lambda f: share(f["recall_memory_strict"])),
            ("hidden hogs", lambda f: f"{f['hidden_hogs']:,} of {f['hogs']:,}"),
            ("processes", lambda f: f"{f['hidden_processes']:,}"),
        ),
    ),
    (
        "What is conserved (error of the total; worst scrape)",
        (
            ("CPU time", lambda f: error(f["counters"], "process.cpu.time")),
            ("disk I/O", lambda f: error(f["counters"], "process.disk.io")),
            ("memory", lambda f: level(f["levels"], "process.memory.usage")),
            ("worst category", lambda f: category(f["worst_category"])),
            ("worst of all totals", lambda f: fine(conservation(f))),
        ),
    ),
)  # fmt: skip
