"""A recipe: what a pipeline reads and does, before it is placed in a shadow or in production.

A template (see `catalog_files/`) becomes a recipe when its parameters and the critical rules are
filled in. A recipe has four parts: settings of the `host_metrics` receiver, settings of its process
scraper, processors, and branches. Every branch gets the same scrape; most recipes have one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from phoenix.pipelines import documents, matchers, ottl, re2
from phoenix.pipelines.errors import BadCriticalRule
from phoenix.pipelines.model import CriticalRule, Pipeline, Value
from phoenix.pipelines.parameters import pairs

# Threads of the kernel, by the names that stay the same from host to host. Their names change while
# they run (kworker/1:0-events), which makes series without a process being born.
KERNEL_THREADS = (
    "^(kworker|ksoftirqd|migration|rcu_|cpuhp|irq/|kthreadd|kswapd|jbd2|scsi_|kdevtmpfs|"
    "idle_inject|watchdog|kcompactd|khugepaged|khungtaskd|oom_reaper|kauditd|pool_workqueue|"
    "kintegrityd|kblockd|ksmd|writeback|mm_percpu_wq|netns|inet_frag_wq|cpuset_migrate|kstrp|"
    "zswap|ext4-rsv|mld|ipv6_addrconf)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a pipeline reads (`receiver`, `scraper`) and does (`processors`, `branches`)."""

    receiver: Mapping[str, Any]
    scraper: Mapping[str, Any]
    processors: Mapping[str, Any]
    branches: Mapping[str, Sequence[str]]


def build(
    pipeline: Pipeline,
    parameters: Mapping[str, Value],
    critical: Sequence[CriticalRule],
    interval_s: float,
) -> Recipe:
    """Fill in the template. `parameters` are checked already (`parameters.resolve`).

    Raises:
        BadCriticalRule: the pipeline shows critical processes only and there is no rule.
    """
    if not critical and not pipeline.literal and "critical_name_patterns" in pipeline.template:
        raise BadCriticalRule(
            f"{pipeline.name} shows critical processes only, and no process is critical.",
            remedy="Name at least one, for example name:nginx.",
        )
    text = pipeline.template
    if not pipeline.literal:
        text = _filled(pipeline, parameters, critical, interval_s)
    document = documents.load(text, pipeline.name)
    return Recipe(
        receiver=document.get("receiver") or {},
        scraper=document.get("scraper") or {},
        processors=document.get("processors") or {},
        branches=document["pipelines"],
    )


def nanoseconds(interval_s: float) -> int:
    """`interval_s` in nanoseconds, exact for what a person writes (0.1 is 100,000,000)."""
    return int(Decimal(str(interval_s)) * 1_000_000_000)


def _filled(
    pipeline: Pipeline,
    parameters: Mapping[str, Value],
    critical: Sequence[CriticalRule],
    interval_s: float,
) -> str:
    import jinja2  # noqa: PLC0415  (only rendering needs it)

    # The output is YAML read by a machine, so HTML escaping would only spoil it.
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    interval = Decimal(str(interval_s))
    environment.filters |= {
        "named": ottl.named,
        "literal": ottl.literal,
        "pairs": pairs,
        "matchers": matchers.of_names,
        "categorised": matchers.of_categories,
        "yaml": lambda text: json.dumps(ottl.dollars(text)),
        "times_interval": lambda number: format(Decimal(number) * interval, "f"),
    }
    typos = parameters.get("typos", 0)
    assert isinstance(typos, int)
    rules = _misspelt(critical, typos)
    return environment.from_string(pipeline.template).render(
        **parameters,
        critical=ottl.critical(rules),
        critical_matchers=matchers.of_rules(rules),
        critical_name_patterns=_name_patterns(rules),
        interval_ns=nanoseconds(interval_s),
        kernel_thread_pattern=KERNEL_THREADS,
    )


def _name_patterns(rules: Sequence[CriticalRule]) -> list[str]:
    """The rules as patterns for the scraper; empty when one is not about the executable's name."""
    if any(rule.kind not in {"name", "regex"} for rule in rules):
        return []
    exact = [rule.value for rule in rules if rule.kind == "name"]
    return ([ottl.one_of(exact)] if exact else []) + [r.value for r in rules if r.kind == "regex"]


def _misspelt(rules: Sequence[CriticalRule], count: int) -> list[CriticalRule]:
    """The first `count` rules with two neighbouring letters exchanged, as tired people do."""
    return [
        CriticalRule(kind="name", value=_exchanged(rule), source=rule.source)
        if position < count
        else rule
        for position, rule in enumerate(rules)
    ]


def _exchanged(rule: CriticalRule) -> str:
    letters = list(rule.value if rule.kind in {"name", "owner"} else re2.quote(rule.value))
    for i in range(2 if len(letters) > 4 else 1, len(letters) - 1):
        if letters[i] != letters[i + 1]:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
            return "".join(letters)
    return "".join(letters) + "x"
