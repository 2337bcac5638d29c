"""What process-topk-v1 was asked for, and whether the figures say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from figuring import front, words
from figuring.summary import conservation

NAME = "process-topk-v1"
SLIM_SHARE = {"realistic": 0.60, "high-cardinality": 0.90, "high-churn": 0.90}
RECALL = 0.99
# What sums of a million floating-point numbers may differ by.
EXACT = 1e-9

Figures = Mapping[str, Any]


def rows(found: Figures) -> Iterator[tuple[str, str, bool]]:
    """What was asked, what was measured, and whether it is enough."""
    ours = next((f for f in found["pipelines"] if f["pipeline"] == NAME), None)
    if ours is None:
        return
    saved = ours["saved_against"]["slim"]
    asked = SLIM_SHARE.get(found["recording"]["load"]["profile"])
    if saved and asked:
        for key, when in (("scrape", "in a scrape"), ("run", "over the run")):
            yield (
                f"at least {asked:.0%} fewer series than process-slim-v1 {when}",
                words.percent(saved[key]),
                saved[key] >= asked,
            )
    coverage = ours["coverage_least"]
    yield "every critical process visible in every scrape", words.percent(coverage), coverage == 1
    for what in ("cpu", "memory"):
        recall = ours[f"recall_{what}"]["mean"]
        yield (
            f"recall of the top ten by {what} at least {RECALL:.0%}",
            words.percent(recall),
            recall >= RECALL,
        )
    hidden = ours["hidden_hogs"]
    yield "no hidden hog", f"{hidden:,} of {ours['hogs']:,}", hidden == 0
    error = conservation(ours) or 0.0
    worst = max(
        [error]
        + [each["worst_scrape"] for each in ours["counters"].values()]
        + [each["worst_scrape"] for each in ours["levels"].values()]
    )
    yield "totals exact, in the worst scrape too", words.fine(worst), worst < EXACT
    beyond = [
        each["pipeline"]
        for each in found["pipelines"]
        if each["pipeline"] not in front.BUDGET and front.beats(each, ours)
    ]
    yield "no stock pipeline beats it", ", ".join(beyond) or "none does", not beyond


def markdown(found: Figures) -> str:
    """As a table for the page."""
    lines = [f"| asked of {NAME} | measured | |", "|---|---:|---|"]
    lines += [f"| {a} | {m} | {'met' if ok else '**missed**'} |" for a, m, ok in rows(found)]
    return "\n".join(lines) + "\n"


def told(found: Figures) -> str:
    """As text."""
    lines = [f"  {'met   ' if ok else 'MISSED'} {a}: {m}" for a, m, ok in rows(found)]
    return "\n".join([f"Asked of {NAME}:", *lines]) if lines else ""
