"""Where an error comes from: the streams that left, reckoned as Prometheus does and taken apart."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Any

from conserving.arms import Arm
from conserving.hours import Hour, by_category
from phoenix.testing.prometheus import Prometheus
from phoenix.testing.streams import Key, Streams, increase, rises


def parts(streams: Streams, metric: str, own: Hour) -> dict[str, Any]:
    """Our own reckoning of the same answer, taken apart."""
    reckoned = streams.increase(metric, own.after_ms, own.until_ms)
    return {
        "rise": reckoned.rise,
        "added_at_begin": reckoned.begin,
        "added_at_end": reckoned.end,
        "added_at_end_by": ends(streams, metric, own),
        "reckoned": reckoned.total,
        "series_of_one_sample": sum(1 for _, got in streams.of(metric) if len(got) == 1),
        "worst_scrape": worst_scrape(streams, metric, own),
    }


def ends(streams: Streams, metric: str, own: Hour) -> dict[str, float]:
    """What is added at ends, by what ended: a process, only its stream, or a slot's.

    Where the process itself ended, what is added stands for what it did after the last scrape that
    saw it. Where it lives on, under another name or in a sum, it is counted twice.
    """
    added = {"exit": 0.0, "stream": 0.0, "slot": 0.0, "edge": 0.0}
    begins = [scrape.first_ns // 1_000_000 for scrape in own.scrapes]
    for key, samples in streams.of(metric):
        last = bisect_right(begins, samples[-1][0]) - 1
        pid = int(key.get("process.pid") or 0)
        if last == len(begins) - 1:
            what = "edge"
        elif key.get("process.slot"):
            what = "slot"
        else:
            here, after = own.scrapes[last].alive, own.scrapes[last + 1].alive
            what = "stream" if pid in here and after.get(pid) == here[pid] else "exit"
        added[what] += increase(samples, own.after_ms, own.until_ms).end
    return added


def worst_scrape(streams: Streams, metric: str, own: Hour) -> float:
    """The largest difference, over scrapes, of what left and what was true."""
    left = [0.0] * len(own.scrapes)
    begins = [scrape.first_ns // 1_000_000 for scrape in own.scrapes]
    for _, samples in streams.of(metric):
        for at_ms, rise in rises(samples):
            left[bisect_right(begins, at_ms) - 1] += rise
    return max(
        abs(got - scrape.total(metric)) for got, scrape in zip(left, own.scrapes, strict=True)
    )


def remainder(
    prometheus: Prometheus, streams: Streams, metric: str, name: str, arm: Arm, own: Hour
) -> dict[str, Any]:
    """Whether the sums of what is not shown ever fall, or rise by more than their processes did."""
    sums = [(key, samples) for key, samples in streams.of(metric) if is_remainder(key)]
    if not sums:
        return {}
    begins = [scrape.first_ns // 1_000_000 for scrape in own.scrapes]
    rose: dict[tuple[int, str], float] = defaultdict(float)
    for key, samples in sums:
        for at_ms, rise in rises(samples):
            rose[bisect_right(begins, at_ms) - 1, key.get("process.category")] += rise
    true = [by_category([scrape], metric, arm.category) for scrape in own.scrapes]
    jumps = [rise - true[number].get(category, 0.0) for (number, category), rise in rose.items()]
    selected = f'{name}{{process_pid="",process_slot="",process_category!=""}}{own.span}'
    at_s = own.until_ms / 1e3
    return {
        "series": len(sums),
        "rise": sum(rise for _, samples in sums for _, rise in rises(samples)),
        "increase": prometheus.total(f"sum(increase({selected}))", at_s=at_s),
        "resets": prometheus.total(f"sum(resets({selected}))", at_s=at_s),
        "largest_jump": max(0.0, *jumps),
    }


def is_remainder(key: Key) -> bool:
    """A sum over processes that are not shown: of a category, and of no process or slot."""
    return bool(key.get("process.category")) and not (
        key.get("process.pid") or key.get("process.slot")
    )
