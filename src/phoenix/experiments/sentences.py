"""The words of verdicts: plain, short, with the numbers and the scope they hold for."""

from __future__ import annotations

from collections.abc import Iterable

SCOPES = {
    "window": "on this host, in this window",
    "long_run": "in the long run, on hosts like this one",
}
NOT_CHECKED = "Alerts and dashboards not checked."
BEING_CHECKED = "Alerts and dashboards are checked next."


def share(value: float) -> str:
    """A share as percent with one decimal: 0.853 is `85.3 %`."""
    return f"{100 * value:.1f} %"


def limit(value: float) -> str:
    """A required share as people write it: 0.3 is `30 %`."""
    return f"{100 * value:g} %"


def duration(seconds: float) -> str:
    """Two units at most: `45 s`, `12 min 30 s`, `3 h 20 min`, `2 d 4 h`."""
    rest = round(seconds)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def ticks(count: int) -> str:
    return f"{count} tick" if count == 1 else f"{count} ticks"


def listed(items: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    every = list(items)
    if len(every) <= most:
        return ", ".join(every)
    return f"{', '.join(every[:most])} and {len(every) - most} more"


def saving(reduction: float) -> str:
    if reduction < 0:
        return f"The candidate emits {share(-reduction)} more series than the baseline"
    return f"The candidate saves {share(reduction)} of the series"
