"""What no scrape of processes can see: work of processes that live between two scrapes, of the
kernel itself, and of exits since the last scrape."""

from __future__ import annotations


def unobserved(host_busy_s: float | None, shown_s: float | None, own_s: float) -> float | None:
    """CPU seconds of a tick that no shown process accounts for; None without both measurements.

    `host_busy_s` is the rise of the host's busy CPU seconds (/proc/stat), `shown_s` that of all
    shown processes, `own_s` that of what measures. The kernel counts in hundredths of a second, so
    small negative differences are noise and read as zero.
    """
    if host_busy_s is None or shown_s is None:
        return None
    return max(0.0, host_busy_s - shown_s - own_s)
