"""A `process_budget` in its chain: what it needs from before, and what must not follow it.

Facts about it that no other processor shares. What leaves adds up to what arrived, and only to
that: a filter beside it takes from the totals. A remainder has no pid and no name, so a condition
on them that is meant for processes hits it too; its category alone tells it apart. A payload is one
scrape. Without a pid nothing is a process, and everything passes untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines import ottl_parse
from phoenix.pipelines.components import type_of
from phoenix.pipelines.lint_rules.budget import SHARES, matchers, value_of
from phoenix.pipelines.lint_rules.statements import NAME, PID, Written, every, removes
from phoenix.pipelines.lint_rules.view import Finding, Flow, Path, View, items

# The attribute that each field of a matcher looks at.
_LOOKS_AT: Mapping[str, str] = {
    "name": "process.executable.name", "name_regex": "process.executable.name",
    "path": "process.executable.path", "path_regex": "process.executable.path",
    "owner": "process.owner", "cgroup": "process.cgroup", "cgroup_regex": "process.cgroup",
    "unit": "process.cgroup", "command_line_regex": "process.command_line",
}  # fmt: skip
_OFF_BY_DEFAULT = frozenset(("process.cgroup",))
_RANKED_BY: Mapping[str, str] = {
    "cpu": "process.cpu.time", "memory": "process.memory.usage", "io": "process.disk.io",
}  # fmt: skip
_TEARS_SCRAPES = frozenset(("batch", "interval"))


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module; what several flows share is found once."""
    written = dict(every(view))
    seen: set[tuple[str, int, str]] = set()
    for flow in view.flows():
        for i, identifier in enumerate(flow.processors):
            if type_of("processors", identifier) != "process_budget":
                continue
            for finding in _of_flow(view, flow, i, written):
                if (key := (finding.rule, finding.line, finding.message)) not in seen:
                    seen.add(key)
                    yield finding
    yield from _storage(view)


def _of_flow(
    view: View, flow: Flow, at: int, written: Mapping[str, list[Written]]
) -> Iterator[Finding]:
    before, after = flow.processors[:at], flow.processors[at + 1 :]
    identifier = flow.processors[at]
    settings = view.settings("processors", identifier)
    base: Path = ("processors", identifier)
    if "process.pid" in (missing := _missing(view, flow, before, written)):
        yield view.finding(
            "budget-without-pid", "error", base,
            "No process has its pid here, and what has none passes untouched: there is no budget.",
            "Remove the pid after it, or let the scraper report it.",
        )  # fmt: skip
        return
    yield from _blind_matchers(view, base, settings, missing)
    yield from _blind_ranks(view, flow, base)
    for other in before:
        yield from _earlier(view, other)
    for other in (*before, *after):
        yield from _filter(view, other, written, settings, late=other in after)
    for other in after:
        yield from _category(view, other, written, str(value_of(settings, "category_attribute")))
        if type_of("processors", other) == "process_budget":
            yield view.finding(
                "budget-twice", "error", ("processors", other),
                f"{identifier} made remainders already; those of {other} have the same names, and "
                "contradict them in every scrape.", "Leave out one of the two.",
            )  # fmt: skip


def _missing(
    view: View, flow: Flow, before: tuple[str, ...], written: Mapping[str, list[Written]]
) -> frozenset[str]:
    """Attributes that processes do not have when they arrive, as far as can be said."""
    attributes = {*_LOOKS_AT.values(), "process.pid"}
    scrapers = [s for r in flow.receivers if (s := _process_scraper(view, r)) is not None]
    absent: set[str] = set()
    if scrapers and len(scrapers) == len(flow.receivers):
        absent = {a for a in attributes if not any(_reports(s, a) for s in scrapers)}
    for other in before:
        absent |= {a for a in attributes if _deletes(view, other, written, a)}
    return frozenset(absent)


def _process_scraper(view: View, receiver: str) -> Mapping[str, Any] | None:
    """The settings of a receiver's process scraper; None for a receiver that has none."""
    scrapers = view.settings("receivers", receiver).get("scrapers")
    if not isinstance(scrapers, Mapping) or "process" not in scrapers:
        return None
    found = scrapers["process"]
    return found if isinstance(found, Mapping) else {}


def _reports(scraper: Mapping[str, Any], attribute: str) -> bool:
    return _enabled(scraper, "resource_attributes", attribute, attribute not in _OFF_BY_DEFAULT)


def _enabled(scraper: Mapping[str, Any], kind: str, name: str, default: bool) -> bool:
    found = scraper.get(kind)
    setting = found.get(name) if isinstance(found, Mapping) else None
    enabled = setting.get("enabled") if isinstance(setting, Mapping) else None
    return enabled if isinstance(enabled, bool) else default


def _deletes(
    view: View, processor: str, written: Mapping[str, list[Written]], attribute: str
) -> bool:
    return any(True for _ in _deletions(view, processor, written, attribute))


def _deletions(
    view: View, processor: str, written: Mapping[str, list[Written]], attribute: str
) -> Iterator[Path]:
    """Where a processor takes a resource attribute away from everything."""
    given = type_of("processors", processor)
    if given == "resource":
        path: Path = ("processors", processor, "attributes")
        for i, action in enumerate(items(view.at(*path))):
            if isinstance(action, Mapping) and (action.get("key"), action.get("action")) == (
                attribute,
                "delete",
            ):
                yield (*path, i)
    for one in written.get(processor, ()) if given == "transform" else ():
        if one.node is not None and one.node.kind == "statement" and len(one.node.parts) == 1:
            call = one.node.parts[0]
            target = call.parts[0].key() if call.parts else ""
            if target == "resource.attributes" and removes(call, attribute):
                yield one.path


def _blind_matchers(
    view: View, base: Path, settings: Mapping[str, Any], missing: frozenset[str]
) -> Iterator[Finding]:
    for path, matcher in matchers(base, settings):
        for key in matcher:
            attribute = _LOOKS_AT.get(str(key))
            if matcher[key] and attribute in missing:
                yield view.finding(
                    "budget-blind-matcher", "error", (*path, key),
                    f"{key} looks at {attribute}, which no process has here: it never matches.",
                    f"Enable {attribute} among the process scraper's resource_attributes, and keep "
                    "it until here.",
                )  # fmt: skip


def _blind_ranks(view: View, flow: Flow, base: Path) -> Iterator[Finding]:
    scrapers = [s for r in flow.receivers if (s := _process_scraper(view, r)) is not None]
    if not scrapers or len(scrapers) < len(flow.receivers):
        return
    for rank, metric in _RANKED_BY.items():
        share = view.at(*base, "top", rank, "share")
        wanted = view.at(*base, "top", rank, "seats") or (SHARES[rank] if share is None else share)
        if wanted and not any(_enabled(s, "metrics", metric, True) for s in scrapers):
            yield view.finding(
                "budget-blind-rank", "error", (*base, "top", rank),
                f"top.{rank} ranks by {metric}, which is not scraped: its seats stay empty.",
                f"Enable {metric}, or set top.{rank}.share: 0.",
            )  # fmt: skip
    scraped = (view.at("receivers", receiver, "scrapers") for receiver in flow.receivers)
    if view.at(*base, "unseen_category") and not any(
        isinstance(names, Mapping) and "cpu" in names for names in scraped
    ):
        yield view.finding(
            "budget-unseen-without-cpu", "warning", (*base, "unseen_category"),
            "What no process accounts for is told from the host's own CPU time, which is not "
            "scraped: the category never comes.",
            "Add the cpu scraper to the receiver of the process scraper.",
        )  # fmt: skip


def _earlier(view: View, other: str) -> Iterator[Finding]:
    given = type_of("processors", other)
    if given in _TEARS_SCRAPES:
        yield view.finding(
            "budget-after-batch", "warning", ("processors", other),
            f"process_budget takes a payload for a scrape, and {other} makes others of them.",
            f"Put {other} after it.",
        )  # fmt: skip
    if given == "cumulative_to_delta":
        yield view.finding(
            "budget-after-delta", "warning", ("processors", other),
            "It knows series, not processes: one that executes another program counts its whole "
            "life again, before process_budget can tell.",
            "Put it after, or leave it out and set temporality: delta in process_budget.",
        )  # fmt: skip


def _filter(
    view: View,
    other: str,
    written: Mapping[str, list[Written]],
    settings: Mapping[str, Any],
    *,
    late: bool,
) -> Iterator[Finding]:
    if type_of("processors", other) != "filter":
        return
    for one in written.get(other, ()):
        if one.node is None or not one.is_condition:
            continue
        if late and (lost := _remainder(one, settings)) is not None:
            yield view.finding(
                "budget-remainder-dropped", "error", one.path,
                f"A remainder has no pid and no name, and this drops that of {lost!r}: with it go "
                "the totals.", f"Begin with {PID} != nil and ...",
            )  # fmt: skip
        elif _on_identity(one):
            yield view.finding(
                "budget-and-filter", "warning", one.path,
                "Processes that are dropped here are in no remainder, so the totals miss them.",
                "Leave the filter out: max_processes and critical choose who is named, and the "
                "rest is summed.",
            )  # fmt: skip


def _remainder(one: Written, settings: Mapping[str, Any]) -> str | None:
    """The first category whose remainder this condition certainly drops."""
    assert one.node is not None, "the caller looked"
    attribute = value_of(settings, "category_attribute")
    names = [
        str(entry.get("category"))
        for entry in items(settings.get("categories"))
        if isinstance(entry, Mapping)
    ]
    absent = {f'resource.attributes["{name}"]': None for name in _LOOKS_AT.values()}
    for name in (str(value_of(settings, "other_category")), *names):
        known = {**absent, PID: None, f'resource.attributes["{attribute}"]': name}
        if ottl_parse.decide(one.node, known) is True:
            return name
    return None


def _on_identity(one: Written) -> bool:
    """Does the condition drop processes by what names them, not only what has no pid?"""
    assert one.node is not None, "the caller looked"
    named = {f'resource.attributes["{name}"]' for name in _LOOKS_AT.values()}
    if any(part.kind == "path" and part.key() in named for part in one.node.walk()):
        return True
    return ottl_parse.decide(one.node, {PID: "1", NAME: "any"}) is True


def _category(
    view: View, other: str, written: Mapping[str, list[Written]], attribute: str
) -> Iterator[Finding]:
    for path in _deletions(view, other, written, attribute):
        yield view.finding(
            "budget-category-removed", "error", path,
            f"{attribute} is all that tells remainders apart: without it they share their series "
            "and contradict each other in every scrape.", f"Keep {attribute}.",
        )  # fmt: skip


def _storage(view: View) -> Iterator[Finding]:
    """One folder cannot be opened twice, and an extension must be enabled."""
    enabled = [str(e) for e in items(view.at("service", "extensions"))]
    for identifier, settings in view.of_type("processors", "process_budget"):
        storage = settings.get("storage")
        if storage is None:
            continue
        path: Path = ("processors", identifier, "storage")
        if str(storage) not in enabled:
            yield view.finding(
                "storage-extension-missing", "error", path,
                f"{storage} is not among service.extensions: validate accepts it, the start fails.",
                f"Define extensions.{storage} and name it in service.extensions.",
            )  # fmt: skip
        users = [pipe.name for pipe in view.pipes if identifier in pipe.processors]
        if len(users) > 1:
            yield view.finding(
                "budget-storage-shared", "error", path,
                f"{' and '.join(users)} would open the state of {identifier} at once: validate "
                "accepts it, the start fails.",
                "Give each pipeline a processor of its own: process_budget/a, process_budget/b.",
            )  # fmt: skip
