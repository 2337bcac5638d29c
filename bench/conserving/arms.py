"""The pipelines whose totals are put to Prometheus, each as the configuration of one collector."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phoenix.pipelines import catalog, documents, parameters, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL, matches
from phoenix.pipelines.parameters import pairs

BASELINE = "process-baseline-v1"
GROUPS = "process-aggregated-v1"
SLIM = "process-slim-v1"
TOP = "process-topk-v1"
BY_NAME = "critical by name"
_CONVERSIONS = ("cumulative_to_delta", "delta_to_cumulative")
_BUDGET = "process_budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One row of the table.

    Attributes:
        scrape: the pipeline whose recorded scrape it is fed.
        category: the category of an executable's name, by the pipeline's own patterns; what the
            pipeline does not sort is sorted as process-aggregated-v1 would.
    """

    name: str
    about: str
    scrape: str
    document: Mapping[str, Any]
    category: Callable[[str], str]


def arms(interval_s: float) -> Iterator[Arm]:
    """Those of the catalog that keep every total or claim to, and the known wrong way."""
    groups = document(GROUPS, interval_s)
    sorted_as = by_pattern(patterns_of_groups())
    apart = but_critical(sorted_as)
    yield Arm(name="baseline", about="every process by name, as scraped", scrape=BASELINE,
              document=document(BASELINE, interval_s), category=sorted_as)  # fmt: skip
    yield Arm(name="groups, counters summed", about=f"{GROUPS} without its conversions",
              scrape=BASELINE, document=without(groups, _CONVERSIONS), category=apart)  # fmt: skip
    yield Arm(name=GROUPS, about="critical by name, categories by increments", scrape=BASELINE,
              document=groups, category=apart)  # fmt: skip
    yield Arm(name=SLIM, about="grown-up processes by name, its own scrape", scrape=SLIM,
              document=document(SLIM, interval_s), category=sorted_as)  # fmt: skip
    for name, varied in variants():
        given = dict(varied)
        made = document(name, interval_s, given)
        category = by_pattern(patterns_of_budget(made["processors"][_BUDGET]))
        about = ", ".join(f"{key} {value}" for key, value in given.items())
        yield Arm(name=", ".join([name, *(LABELS[each] for each in varied)]), about=about,
                  scrape=BASELINE, document=made, category=category)  # fmt: skip


SLOTS, SHORT, LONG = ("slots", True), ("linger", "5m"), ("linger", "1h")
LABELS = {SLOTS: "slots", SHORT: "linger 5m", LONG: "linger 1h"}


def variants() -> Iterator[tuple[str, tuple[tuple[str, Any], ...]]]:
    """The pipelines of the catalog with a process_budget, and the parameters that matter here."""
    ways = {TOP: ((), (SHORT,), (LONG,), (SLOTS,), (SLOTS, SHORT), (SLOTS, LONG))}
    for name in catalog.names():
        pipeline = catalog.load(name)
        if f"{_BUDGET}:" in pipeline.template and not pipeline.demonstration:
            for varied in ways.get(name, ((), (SLOTS, LONG))):
                yield name, varied


def document(
    name: str, interval_s: float, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A pipeline of the catalog as an arm that is fed."""
    revision = render.arm(catalog.load(name), given, DEFAULT_CRITICAL, interval_s, fed=True)
    return documents.load(revision.config, name)


def without(made: Mapping[str, Any], types: tuple[str, ...]) -> dict[str, Any]:
    """The configuration without the processors of some types."""

    def kept(name: str) -> bool:
        return name.partition("/")[0] not in types

    service = {**made["service"]}
    service["pipelines"] = {
        name: {**pipeline, "processors": [x for x in pipeline["processors"] if kept(x)]}
        for name, pipeline in service["pipelines"].items()
    }
    processors = {name: given for name, given in made["processors"].items() if kept(name)}
    return {**made, "processors": processors, "service": service}


def patterns_of_groups() -> list[tuple[str, str]]:
    """Category and pattern, in order, of process-aggregated-v1."""
    listed = parameters.resolve(catalog.load(GROUPS), None)["categories"]
    assert isinstance(listed, tuple), "a list of names"
    return list(pairs(listed))


def patterns_of_budget(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Category and pattern, in order, of a process_budget; it must sort by name alone."""
    found = []
    for entry in given.get("categories", ()):
        fields = set(entry) - {"category"}
        assert fields <= {"name", "name_regex"} and len(fields) == 1, f"sorted by name: {entry}"
        name = entry.get("name")
        found.append((entry["category"], entry.get("name_regex") or f"^{re.escape(name)}$"))
    return found


def by_pattern(patterns: list[tuple[str, str]]) -> Callable[[str], str]:
    """The first category whose pattern is in the name, else `other`."""
    compiled = [(category, re.compile(pattern)) for category, pattern in patterns]

    def category(name: str) -> str:
        return next((each for each, pattern in compiled if pattern.search(name)), "other")

    return category


def but_critical(category: Callable[[str], str]) -> Callable[[str], str]:
    """The same, with critical processes apart: the pipeline shows them outside its groups."""

    def apart(name: str) -> str:
        if any(matches(rule, name=name, path=None, owner=None) for rule in DEFAULT_CRITICAL):
            return BY_NAME
        return category(name)

    return apart
