"""From the scrapes of a run to figures with their uncertainty.

Scrapes that follow each other are alike, so their spread says too little. The counted scrapes are
cut into 20 batches one after the other; the means of the batches are nearly independent, and the
95 % interval is theirs (batch means, Student's t with 19 degrees of freedom). Totals and extremes
of a run have no interval.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from scipy import stats

from figuring.replays import BASELINE, SLIM, Row, Run

BATCHES = 20
MIB = 1 << 20
# What a category must use of the whole before a share of it says something.
CATEGORY_SHARE_LEAST = 0.01


def summed_up(run: Run) -> dict[str, Any]:
    """All figures of a run."""
    rows = run.rows

    def over(of: Callable[[Row], float | None]) -> dict[str, float | None]:
        return mean([of(row) for row in rows])

    hidden = [who for row in rows for who in row.figures.hidden]
    return {
        "pipeline": run.pipeline,
        "scrapes": len(rows),
        "series": over(lambda r: r.figures.series),
        "series_run": run.series_run,
        "points": over(lambda r: r.figures.points),
        "raw_bytes": over(lambda r: r.figures.raw_bytes),
        "wire_bytes": over(lambda r: r.figures.wire_bytes),
        "shown": over(lambda r: r.figures.shown),
        "shown_most": max(r.figures.shown for r in rows),
        "coverage": over(lambda r: r.figures.coverage),
        "coverage_least": least(r.figures.coverage for r in rows),
        "recall_cpu": over(lambda r: r.figures.cpu.share),
        "recall_cpu_strict": over(lambda r: r.figures.cpu.strict),
        "recall_memory": over(lambda r: r.figures.memory.share),
        "recall_memory_strict": over(lambda r: r.figures.memory.strict),
        "hogs": sum(r.figures.cpu_hogs + r.figures.memory_hogs for r in rows),
        "hidden_hogs": len(hidden),
        "hidden_hogs_a_scrape": over(lambda r: len(r.figures.hidden)),
        "hidden_processes": len(set(hidden)),
        "counters": {metric: counter(rows, metric) for metric in emitted(rows)},
        "levels": {metric: level(rows, metric) for metric in held(rows)},
        "worst_category": worst_category(rows),
        "cpu_ms_a_scrape": over(lambda r: r.cpu_s * 1000),
        "cpu_s": sum(r.cpu_s for r in rows),
        "memory_mib": ends([r.rss_bytes / MIB for r in rows]),
        "peak_memory_mib": round(run.peak_memory_bytes / MIB, 1),
    }


def against(rows: Sequence[dict[str, Any]]) -> None:
    """Add to each pipeline which share of the series of others it saves, in a scrape and a run."""
    for key, name in (("default", BASELINE), ("slim", SLIM)):
        other = next((row for row in rows if row["pipeline"] == name), None)
        for row in rows:
            # The slim scrape of a short recording is empty: nothing is old enough for it.
            comparable = other is not None and other["series"]["mean"] and other["series_run"]
            row.setdefault("saved_against", {})[key] = (
                {
                    "scrape": 1 - row["series"]["mean"] / other["series"]["mean"],
                    "run": 1 - row["series_run"] / other["series_run"],
                }
                if other is not None and comparable
                else None
            )


def conservation(figures: dict[str, Any]) -> float | None:
    """The worst of the totals that are emitted: counters over the run, levels in the mean."""
    errors = [abs(each["error"]) for each in figures["counters"].values()]
    errors += [abs(each["mean"]) for each in figures["levels"].values()]
    return max(errors, default=None)


def mean(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and half of the 95 % interval, over the scrapes that have a value."""
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "half": None}
    count = min(BATCHES, len(known) // 2)
    if count < 2:
        return {"mean": statistics.fmean(known), "half": None}
    means = [statistics.fmean(batch) for batch in batches(known, count)]
    return {"mean": statistics.fmean(known), "half": half(means)}


def half(means: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean of batch means."""
    quantile = float(stats.t.ppf(0.975, len(means) - 1))
    return quantile * statistics.stdev(means) / len(means) ** 0.5


def batches(values: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """`count` stretches of nearly equal length."""
    edges = [round(n * len(values) / count) for n in range(count + 1)]
    return [values[a:b] for a, b in pairwise(edges)]


def ends(values: Sequence[float]) -> dict[str, float]:
    """The mean over the second fifth of a run and over its last: do they differ, it grows."""
    fifths = batches(values, 5)
    second, last = (statistics.fmean(fifths[n] or [0.0]) for n in (1, 4))
    return {"second_fifth": round(second, 1), "last_fifth": round(last, 1)}


def counter(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """What left of what arrived, too much or too little: over the run, and in the worst scrape."""
    pairs = [row.figures.rises.get(metric, (0.0, 0.0)) for row in rows]
    ratios = [
        sum(left for _, left in batch) / arrived - 1
        for batch in batches(pairs, min(BATCHES, max(2, len(pairs) // 2)))
        if (arrived := sum(arrived for arrived, _ in batch)) > 0
    ]
    arrived = sum(arrived for arrived, _ in pairs)
    left = sum(left for _, left in pairs)
    return {
        "arrived": arrived,
        "left": left,
        "error": left / arrived - 1 if arrived else 0.0,
        "half": half(ratios) if len(ratios) > 1 else None,
        "worst_scrape": max(abs(left - arrived) / arrived for arrived, left in pairs if arrived)
        if arrived
        else 0.0,
    }


def level(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """The same for a level, scrape by scrape."""
    pairs = [row.figures.levels.get(metric) for row in rows]
    errors = [left / arrived - 1 for arrived, left in (p for p in pairs if p) if arrived]
    return {**mean(errors), "worst_scrape": max((abs(e) for e in errors), default=0.0)}


def worst_category(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The category whose total is furthest off, of those with at least 1 % of the whole."""
    totals: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for key, (arrived, left) in row.figures.categories.items():
            total = totals.setdefault(key, [0.0, 0.0])
            total[0] += arrived
            total[1] += left
    whole: dict[str, float] = {}
    for (metric, _), (arrived, _left) in totals.items():
        whole[metric] = whole.get(metric, 0.0) + arrived
    found = [
        (abs(left / arrived - 1), metric, category)
        for (metric, category), (arrived, left) in totals.items()
        if arrived > CATEGORY_SHARE_LEAST * whole[metric]
    ]
    if not found:
        return None
    error, metric, category = max(found)
    return {"error": error, "metric": metric, "category": category}


def emitted(rows: Sequence[Row]) -> list[str]:
    """The counters that the pipeline lets through."""
    return sorted({metric for row in rows for metric in row.figures.rises})


def held(rows: Sequence[Row]) -> list[str]:
    """The levels that it lets through and that the raw scrape has too."""
    return sorted({metric for row in rows for metric in row.figures.levels})


def least(values: Iterable[float | None]) -> float | None:
    """The smallest that is known."""
    return min((value for value in values if value is not None), default=None)
