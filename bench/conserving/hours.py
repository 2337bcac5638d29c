"""A recorded scrape, and what is true about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from phoenix.testing import recording
from phoenix.testing.replay import points
from phoenix.testing.truth import COUNTERS, Scrape, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """A recorded scrape with what is true about it.

    Attributes:
        skip: recorded scrapes before the first that is used.
        every: one in so many of the recorded scrapes is used.
        finer: what all of the recorded scrapes saw, by metric.
    """

    path: Path
    scrapes: Sequence[Scrape]
    skip: int
    every: int
    finer: Mapping[str, float]

    def bodies(self) -> Iterator[bytes]:
        """The requests to be handed in."""
        end = self.skip + self.every * len(self.scrapes)
        return islice(recording.frames(self.path), self.skip, end, self.every)

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


def times(path: Path) -> list[int]:
    """When each scrape of a file was read, about, Unix nanoseconds."""
    return [next(points(request)).time_unix_nano for request in recording.requests(path)]


def hour(path: Path, skip: int, frames: int, every: int = 1) -> Hour:
    """Read `frames` scrapes of a file after the first `skip`; one in `every` is to be used."""
    coarse, fine = Truth(), Truth()
    scrapes, finer = [], dict.fromkeys(COUNTERS, 0.0)
    last = (frames - 1) // every * every
    requests = islice(recording.requests(path), skip, skip + last + 1)
    for number, request in enumerate(requests):
        if number % every == 0:
            scrapes.append(coarse.fold(request))
        seen = scrapes[-1] if every == 1 else fine.fold(request)
        for metric in COUNTERS:
            finer[metric] += seen.total(metric)
    return Hour(path=path, scrapes=scrapes, skip=skip, every=every, finer=finer)


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
