"""How numbers of a report are written. None is never a number: it reads "insufficient data"."""

from __future__ import annotations

UNKNOWN = "insufficient data"


def count(value: float | None) -> str:
    """Whole things: `1,004`."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share as percent with at most one decimal: 0.853 is `85.3 %`, 0.3 is `30 %`."""
    if value is None:
        return UNKNOWN
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def fine(value: float | None) -> str:
    """A small share with three digits that count: 0.00123 is `0.123 %`."""
    return UNKNOWN if value is None else f"{100 * value:.3g} %"


def kib(value: float | None) -> str:
    """Bytes as KiB."""
    return UNKNOWN if value is None else f"{value / 1024:,.1f} KiB"


def mib(value: float | None) -> str:
    """Bytes as MiB."""
    return UNKNOWN if value is None else f"{value / 2**20:,.1f} MiB"


def seconds(value: float | None) -> str:
    """CPU seconds."""
    return UNKNOWN if value is None else f"{value:,.2f} s"
