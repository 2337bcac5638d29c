"""A `process_budget` by itself: its keys at every depth, its patterns, its numbers.

The collector refuses all of these and says why; here they come with a line, and no collector is
needed. What it refuses beyond these is for `phoenix pipeline validate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines import re2
from phoenix.pipelines.lint_rules.structure import duration, unknown_keys
from phoenix.pipelines.lint_rules.view import Finding, Path, View, items

MATCHER = frozenset((
    "name", "name_regex", "path", "path_regex", "owner", "cgroup", "cgroup_regex", "unit",
    "command_line_regex",
))  # fmt: skip
RANK = frozenset(("share", "seats", "floor"))
SECTIONS: Mapping[str, frozenset[str]] = {
    "top": frozenset(("cpu", "memory", "io")),
    "hysteresis": frozenset(("min_dwell", "margin")),
    "hog": frozenset(("cpu", "memory", "host_memory")),
    "anomaly": frozenset(("factor", "half_life", "min_cpu", "min_memory")),
    "adaptive": frozenset((
        "enabled", "set_point", "half_life", "conservative_below", "aggressive_above",
        "hysteresis", "dwell", "conservative", "balanced", "aggressive",
    )),
    "slots": frozenset(("enabled", "attribute", "mapping_metric")),
}  # fmt: skip
TIER = frozenset(("name", "match", "min_cpu", "min_memory", "keep"))
DEFAULTS: Mapping[str, Any] = {
    "max_processes": 40,
    "max_tracked": 50000,
    "other_category": "other",
    "category_attribute": "process.category",
    "temporality": "cumulative",
}
SHARES: Mapping[str, float] = {"cpu": 0.4, "memory": 0.4, "io": 0.1}

_DURATIONS = (
    ("hysteresis", "min_dwell"), ("anomaly", "half_life"),
    ("adaptive", "half_life"), ("adaptive", "dwell"),
)  # fmt: skip
_LEAST_ONE = (("max_processes",), ("max_tracked",))
_LEAST_ZERO = (
    ("max_critical",), ("hysteresis", "margin"), ("hog", "cpu"), ("anomaly", "factor"),
    ("anomaly", "min_cpu"), ("anomaly", "min_memory"), ("adaptive", "set_point"),
    *(("top", rank, key) for rank in SHARES for key in ("seats", "floor")),
)  # fmt: skip
_SHARES = (("hog", "memory"), *(("top", rank, "share") for rank in SHARES))


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module."""
    for identifier, settings in view.of_type("processors", "process_budget"):
        base: Path = ("processors", identifier)
        yield from _keys(view, base, settings)
        for path, matcher in matchers(base, settings):
            yield from _matcher(view, path, matcher)
        for section, key in _DURATIONS:
            yield from duration(view, (*base, section, key))
        yield from _numbers(view, base)
        yield from _together(view, base, settings)
        yield from _names(view, base, settings)


def matchers(base: Path, settings: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every matcher of a processor with where it is: of critical, of categories and of tiers."""
    for key in ("critical", "categories"):
        for i, entry in enumerate(items(settings.get(key))):
            if isinstance(entry, Mapping):
                yield (*base, key, i), entry
    for i, tier in enumerate(items(settings.get("tiers"))):
        if isinstance(tier, Mapping):
            for j, entry in enumerate(items(tier.get("match"))):
                if isinstance(entry, Mapping):
                    yield (*base, "tiers", i, "match", j), entry


def value_of(settings: Mapping[str, Any], key: str) -> Any:
    """What a top-level key says, or its default."""
    given = settings.get(key)
    return DEFAULTS[key] if given is None else given


def _keys(view: View, base: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    for section, allowed in SECTIONS.items():
        yield from unknown_keys(view, settings.get(section), (*base, section), allowed, section)
    for rank in SHARES:
        path = (*base, "top", rank)
        yield from unknown_keys(view, view.at(*path), path, RANK, f"top.{rank}")
    for i, tier in enumerate(items(settings.get("tiers"))):
        yield from unknown_keys(view, tier, (*base, "tiers", i), TIER, "a tier")
    for path, matcher in matchers(base, settings):
        allowed = MATCHER | {"category"} if path[-2] == "categories" else MATCHER
        yield from unknown_keys(view, matcher, path, allowed, "a matcher")


def _matcher(view: View, path: Path, matcher: Mapping[str, Any]) -> Iterator[Finding]:
    if not any(matcher.get(key) for key in MATCHER):
        yield _refused(
            view, path, "This matcher matches nothing.", f"Set one of {', '.join(sorted(MATCHER))}."
        )
    for key in sorted(MATCHER):
        pattern = matcher.get(key)
        if not key.endswith("_regex") or not isinstance(pattern, str):
            continue
        if (reason := re2.why_not_re2(pattern.replace("$$", "$"))) is not None:
            yield view.finding(
                "bad-regex", "error", (*path, key), f"{pattern!r} is no pattern: {reason}.",
                "Use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
            )  # fmt: skip


def _numbers(view: View, base: Path) -> Iterator[Finding]:
    for paths, least, most in ((_LEAST_ONE, 1, None), (_LEAST_ZERO, 0, None), (_SHARES, 0, 1)):
        for keys in paths:
            yield from _number(view, (*base, *keys), ".".join(keys), least, most)
    for i, _ in enumerate(items(view.at(*base, "tiers"))):
        yield from _number(view, (*base, "tiers", i, "keep"), "keep", 0, 1)
    factor = view.at(*base, "anomaly", "factor")
    if _is_number(factor) and 0 < factor <= 1:
        yield _refused(
            view, (*base, "anomaly", "factor"),
            f"A factor of {factor} makes every change an anomaly.", "Set more than 1, or 0.",
        )  # fmt: skip


def _number(
    view: View, path: Path, name: str, least: float, most: float | None
) -> Iterator[Finding]:
    value = view.at(*path)
    if _is_number(value) and not (least <= value and (most is None or value <= most)):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        yield _refused(view, path, f"{name} cannot be {value}.", f"Give a number {wanted}.")


def _together(view: View, base: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that are possible by themselves, and not beside each other."""
    budget = value_of(settings, "max_processes")
    critical, tracked = settings.get("max_critical"), value_of(settings, "max_tracked")
    if _is_number(budget) and _is_number(critical) and critical > budget:
        yield _refused(
            view, (*base, "max_critical"),
            f"max_critical {critical} is more than max_processes {budget}.",
            "Raise max_processes, or lower max_critical.",
        )  # fmt: skip
    if _is_number(budget) and _is_number(tracked) and tracked < budget:
        yield _refused(
            view, (*base, "max_tracked"),
            f"max_tracked {tracked} is less than max_processes {budget}, and only what is "
            "remembered leaves by name.", "Raise max_tracked.",
        )  # fmt: skip
    shares = list(_shares(view, base))
    total = sum(shares)
    if all(0 <= share <= 1 for share in shares) and total > 1 + 1e-9:
        yield _refused(
            view, (*base, "top"), f"The shares of top add up to {total:.4g}.",
            "Keep them at 1 or below; what they leave is the reserve.",
        )  # fmt: skip
    temporality = value_of(settings, "temporality")
    if isinstance(temporality, str) and _is_none_of(temporality, ("cumulative", "delta")):
        yield _refused(
            view, (*base, "temporality"), f"There is no temporality {temporality!r}.",
            "Choose cumulative or delta.",
        )  # fmt: skip
    if temporality == "delta" and re.search("[1-9]", str(settings.get("linger"))):
        yield _refused(
            view, (*base, "linger"), "Differences end without a trace: nothing can linger.",
            "Leave linger out, or choose temporality: cumulative.",
        )  # fmt: skip
    rules = settings.get("gauges")
    for name, rule in rules.items() if isinstance(rules, Mapping) else ():
        if isinstance(rule, str) and _is_none_of(rule, ("sum", "max")):
            yield _refused(
                view, (*base, "gauges", name), f"There is no rule {rule!r}.", "Choose sum or max."
            )


def _names(view: View, base: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Remainders are told apart by their names, and tiers by theirs."""
    taken = {str(value_of(settings, "other_category"))}
    if settings.get("unseen_category"):
        taken.add(str(settings["unseen_category"]))
    for i, entry in enumerate(items(settings.get("categories"))):
        yield from _name(view, (*base, "categories", i), entry, "category", taken)
    tiers: set[str] = set()
    for i, entry in enumerate(items(settings.get("tiers"))):
        yield from _name(view, (*base, "tiers", i), entry, "name", tiers)


def _name(view: View, path: Path, entry: Any, key: str, taken: set[str]) -> Iterator[Finding]:
    if not isinstance(entry, Mapping):
        return
    name = entry.get(key)
    if not name:
        yield _refused(view, path, f"It has no {key}.", f"Add {key}.")
    elif str(name) in taken:
        yield _refused(
            view, (*path, key), f"The name {name!r} is taken.", "Give each a name of its own."
        )
    taken.add(str(name))


def _shares(view: View, base: Path) -> Iterator[float]:
    for rank, default in SHARES.items():
        seats, share = (view.at(*base, "top", rank, key) for key in ("seats", "share"))
        if not seats:
            yield float(share) if _is_number(share) else default if share is None else 0.0


def _is_none_of(value: str, words: tuple[str, ...]) -> bool:
    """Is it a word of ours that is none of `words`; what a variable holds is not known here."""
    return "${" not in value and value not in words


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(view: View, path: Path, say: str, do: str) -> Finding:
    return view.finding("budget-value", "error", path, say, do)
