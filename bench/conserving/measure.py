"""One pipeline: a recorded hour through the real collector into a real Prometheus, then asked."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from conserving.arms import Arm
from phoenix.testing import recording, replay
from phoenix.testing.prometheus import Prometheus, Value, counter
from phoenix.testing.streams import Key, Streams, increase, rises
from phoenix.testing.truth import COUNTERS, Scrape, Truth

PROMQL = {
    "process.cpu.time": "process_cpu_time_seconds_total",
    "process.disk.io": "process_disk_io_bytes_total",
}
STARTS = ("st-storage", "use-start-timestamps")
"""Features with which Prometheus 3 counts a first sample from its start time on."""
# A counter that has been running for a day when the hour begins, and one that begins with it.
CONSTANTS = {"running": 86_400.0, "begun": 0.0}
WINDOW_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """A recorded scrape with what is true about it.

    Attributes:
        every: one in so many of the recorded scrapes is used.
        finer: what all of the recorded scrapes saw, by metric.
    """

    path: Path
    scrapes: Sequence[Scrape]
    every: int
    finer: Mapping[str, float]

    def bodies(self) -> Iterator[bytes]:
        """The requests to be handed in."""
        return islice(recording.frames(self.path), 0, self.every * len(self.scrapes), self.every)

    @property
    def after_ms(self) -> int:
        """The left end of the range, which is not in it."""
        return self.scrapes[0].first_ns // 1_000_000 - 1

    @property
    def until_ms(self) -> int:
        """The right end, which is."""
        return max(scrape.last_ns for scrape in self.scrapes) // 1_000_000

    @property
    def span(self) -> str:
        """The range, in PromQL."""
        return f"[{self.until_ms - self.after_ms}ms]"

    def true(self, metric: str, category: Callable[[str], str]) -> dict[str, float]:
        """What the processes of each category used from the first scrape to the last."""
        return by_category(self.scrapes, metric, category)


def hour(path: Path, frames: int, every: int = 1) -> Hour:
    """Read the first `frames` scrapes of a file, of which one in `every` is to be used."""
    coarse, fine = Truth(), Truth()
    scrapes, finer = [], dict.fromkeys(COUNTERS, 0.0)
    last = (frames - 1) // every * every
    for number, request in enumerate(islice(recording.requests(path), last + 1)):
        if number % every == 0:
            scrapes.append(coarse.fold(request))
        seen = fine.fold(request)
        for metric in COUNTERS:
            finer[metric] += seen.total(metric)
    return Hour(path=path, scrapes=scrapes, every=every, finer=finer)


def by_category(
    scrapes: Iterable[Scrape], metric: str, category: Callable[[str], str]
) -> dict[str, float]:
    """The rises of some scrapes, summed by category."""
    found: dict[str, float] = defaultdict(float)
    for scrape in scrapes:
        for (of, name), rise in scrape.rises.items():
            if of == metric:
                found[category(name)] += rise
    return dict(found)


def measure(arm: Arm, own: Hour, default: Hour, binary: Path, data_dir: Path) -> dict[str, Any]:
    """Replay, and ask. `own` is what the arm is fed, `default` what it is held against."""
    streams = Streams(COUNTERS)
    with (
        replay.Arm(binary, arm.document, arm.name) as collector,
        Prometheus(data_dir) as plain,
        Prometheus(data_dir, features=STARTS) as starts,
    ):
        for scrape, body in zip(own.scrapes, own.bodies(), strict=True):
            request = counted(collector.scrape(body), scrape, own.scrapes[0])
            plain.take(request)
            starts.take(request)
            streams.fold(request)
        found: dict[str, Any] = {
            "arm": arm.name,
            "about": arm.about,
            "series": sum(1 for metric in COUNTERS for _ in streams.of(metric)),
            "engine": engine(plain, own),
        }
        for metric in COUNTERS:
            found[metric] = {
                **answers(plain, starts, metric, own),
                **against(plain, metric, arm, own, default),
                **parts(streams, metric, own),
                "five_minutes": five_minutes(plain, metric, own),
                "remainder": remainder(plain, streams, metric, arm, own),
            }
    return found


def counted(left: Iterable[Request], scrape: Scrape, first: Scrape) -> Request:
    """The counters of what left, and beside them the counters that rise by one a second."""
    request = Request()
    for each in left:
        for resource in each.resource_metrics:
            wanted = [
                metric
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name in COUNTERS
            ]
            if wanted:
                taken = request.resource_metrics.add()
                taken.resource.CopyFrom(resource.resource)
                taken.scope_metrics.add().metrics.extend(wanted)
    for name, before in CONSTANTS.items():
        at_s, since_s = scrape.first_ns / 1e9, (scrape.first_ns - first.first_ns) / 1e9
        request.MergeFrom(
            counter(name, {}, [(at_s, before + since_s)], unit="s",
                    start_s=first.first_ns / 1e9 - before)
        )  # fmt: skip
    return request


def engine(prometheus: Prometheus, own: Hour) -> dict[str, float]:
    """Prometheus's own error on each constant counter: what it says too much, as a share."""
    true = (own.scrapes[-1].first_ns - own.scrapes[0].first_ns) / 1e9
    at_s = own.until_ms / 1e3

    def error(name: str, modifier: str = "") -> float:
        query = f"increase({name}_seconds_total{own.span}{modifier})"
        return prometheus.total(query, at_s=at_s) / true - 1

    errors = {name: error(name) for name in CONSTANTS}
    return {**errors, "anchored": max((error(x, " anchored") for x in CONSTANTS), key=abs)}


def answers(plain: Prometheus, starts: Prometheus, metric: str, own: Hour) -> dict[str, float]:
    """What Prometheus answers, in each of the ways it can be asked."""
    at_s, selected = own.until_ms / 1e3, f"{PROMQL[metric]}{own.span}"
    return {
        "increase": plain.total(f"sum(increase({selected}))", at_s=at_s),
        "anchored": plain.total(f"sum(increase({selected} anchored))", at_s=at_s),
        "smoothed": plain.total(f"sum(increase({selected} smoothed))", at_s=at_s),
        "start_times": starts.total(f"sum(increase({selected}))", at_s=at_s),
    }


def against(
    prometheus: Prometheus, metric: str, arm: Arm, own: Hour, default: Hour
) -> dict[str, Any]:
    """The truth, and what each category is off by."""
    query = (
        f"sum by (process_executable_name, process_category) (increase({PROMQL[metric]}{own.span}))"
    )
    said: dict[str, float] = defaultdict(float)
    for value in prometheus.ask(query, at_s=own.until_ms / 1e3):
        said[category_of(value, arm)] += value.value
    true = default.true(metric, arm.category)
    return {
        "true": sum(true.values()),
        "true_of_own_scrape": sum(own.true(metric, arm.category).values()),
        "finer": default.finer[metric],
        "categories": {
            name: {"true": true.get(name, 0.0), "increase": said.get(name, 0.0)}
            for name in sorted(true.keys() | said.keys())
        },
    }


def category_of(value: Value, arm: Arm) -> str:
    """The category that the pipeline tells, else that of the name."""
    told = value.labels.get("process_category")
    return told or arm.category(value.labels.get("process_executable_name", ""))


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


def five_minutes(prometheus: Prometheus, metric: str, own: Hour) -> dict[str, float]:
    """sum(increase(m[5m])) over the true rises of the same scrapes, window after window."""
    ratios = []
    scrapes = own.scrapes[1:]
    # Between two scrapes, so that no window cuts one into two.
    begin = (own.scrapes[0].last_ns + scrapes[0].first_ns) / 2
    for number in range(int((own.until_ms * 1e6 - begin) / 1e9) // WINDOW_S):
        after, until = begin + number * WINDOW_S * 1e9, begin + (number + 1) * WINDOW_S * 1e9
        true = sum(s.total(metric) for s in scrapes if after < s.first_ns <= until)
        said = prometheus.total(f"sum(increase({PROMQL[metric]}[{WINDOW_S}s]))", at_s=until / 1e9)
        if true > 0:
            ratios.append(said / true - 1)
    if not ratios:
        return {"windows": 0}
    return {
        "windows": len(ratios),
        "median": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def remainder(
    prometheus: Prometheus, streams: Streams, metric: str, arm: Arm, own: Hour
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
    jumps = [rise - true[number].get(name, 0.0) for (number, name), rise in rose.items()]
    resets = prometheus.total(
        f'sum(resets({PROMQL[metric]}{{process_pid="",process_slot="",process_category!=""}}'
        f"{own.span}))",
        at_s=own.until_ms / 1e3,
    )
    return {"series": len(sums), "resets": resets, "largest_jump": max(0.0, *jumps)}


def is_remainder(key: Key) -> bool:
    """A sum over processes that are not shown: of a category, and of no process or slot."""
    return bool(key.get("process.category")) and not (
        key.get("process.pid") or key.get("process.slot")
    )
