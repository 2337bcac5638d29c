"""A collector configuration that somebody already has becomes a pipeline of an experiment.

Taken over are its process scrape and the processors that the scraped data passes, branch by branch.
Its exporters are replaced by the meter. Everything else is left out and named, so that nobody
believes that more was measured than was.

References to files or URLs are refused rather than left out: what they hold is unknown, and our
collector would read it. So are references to Phoenix's own variables, one of which is a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from phoenix.pipelines import documents
from phoenix.pipelines.components import known, type_of
from phoenix.pipelines.errors import BadConfiguration, BadParameter
from phoenix.pipelines.lint_rules.view import Flow, View, pipes_of
from phoenix.pipelines.model import Pipeline
from phoenix.pipelines.parameters import duration_s

_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\{([^}]*)\}")
_VARIABLE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-[^$]*)?\Z")
_KEPT_OF_RECEIVER = ("initial_delay", "timeout", "root_path", "metadata_collection_interval")
_CHANGES_NOTHING = frozenset(("memory_limiter", "batch", "resource", "groupbyattrs"))
_FOLLOWED = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a configuration.

    Attributes:
        pipeline: usable as baseline or candidate. Its `changes_scrape` is False, since the scraper
            makes a baseline's scrape; for a candidate ask `render.same_scrape`.
        left_out: a sentence for each thing that was not taken over, or works otherwise here.
        interval_s: its own collection interval, if it states one.
    """

    pipeline: Pipeline
    left_out: tuple[str, ...]
    interval_s: Decimal | None


def import_config(text: str, file: str) -> Imported:
    """Import the collector configuration `text`, called `file` in messages.

    Raises:
        BadConfiguration: not a configuration (size, YAML, alias bomb), no process scrape in any
            metrics pipeline, or a reference that may not be followed.
    """
    data = documents.load(text, file)
    view = View(file=file, data=data, lines={}, pipes=pipes_of(data))
    receiver = _scraping_receiver(view)
    settings = view.settings("receivers", receiver)
    flows = [flow for flow in view.flows() if receiver in flow.receivers]
    branches, dropped = _branches(view, flows)
    names = list(dict.fromkeys(step for branch in branches for step in branch))
    recipe = {
        "receiver": {k: settings[k] for k in _KEPT_OF_RECEIVER if k in settings},
        "scraper": _scrape(view, receiver),
        "processors": {name: _processor(view, name) for name in names},
        "pipelines": _named(branches),
    }
    variables = _variables(recipe, file)
    return Imported(
        pipeline=_pipeline(file, recipe, names),
        left_out=(
            *_receivers(view, receiver),
            *_pipelines(view, flows),
            *dropped,
            *_rest(view, flows),
            *_otherwise(recipe, branches, flows, settings),
            *(
                f"variable {v}: read where the collector runs, may be unset there"
                for v in variables
            ),
        ),
        interval_s=_interval(settings.get("collection_interval")),
    )


def _scraping_receiver(view: View) -> str:
    """The first receiver with a process scraper that a metrics pipeline reads."""
    scraping = [
        identifier
        for identifier, settings in view.of_type("receivers", "host_metrics")
        if isinstance(settings.get("scrapers"), Mapping) and "process" in settings["scrapers"]
        and isinstance(settings["scrapers"]["process"], Mapping | None)
    ]  # fmt: skip
    for identifier in scraping:
        if any(identifier in flow.receivers for flow in view.flows()):
            return identifier
    why = "in no metrics pipeline that ends at an exporter" if scraping else "in no receiver"
    raise BadConfiguration(
        f"{view.file} has no process scrape to import: a host_metrics receiver with "
        f"scrapers.process is {why}.",
        remedy="Give a configuration with receivers.host_metrics.scrapers.process in a metrics "
        "pipeline, or use process-baseline-v1.",
    )


def _scrape(view: View, receiver: str) -> dict[str, Any]:
    """The process scraper's settings; what decides about command lines must be unmistakable."""
    scrape: dict[str, Any] = view.at("receivers", receiver, "scrapers", "process") or {}
    attributes = scrape.get("resource_attributes") or {}
    usable = isinstance(attributes, Mapping) and all(
        setting is None
        or (isinstance(setting, Mapping) and setting.get("enabled", True) in (True, False))
        for setting in attributes.values()
    )
    if not usable:
        raise BadConfiguration(
            f"{view.file}: resource_attributes of the process scraper cannot be read.",
            remedy="Write each as NAME: {enabled: true} or {enabled: false}.",
        )
    return {**scrape, "resource_attributes": dict(attributes)} if attributes else dict(scrape)


def _branches(view: View, flows: Sequence[Flow]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The different chains of processors, and what had to be dropped from them."""
    dropped: dict[str, str] = {}
    branches: list[tuple[str, ...]] = []
    for flow in flows:
        steps = []
        for step in flow.processors:
            given = type_of("processors", step)
            if given in known("processors") and step in view.section("processors"):
                steps.append(step)
            else:
                dropped[step] = f"processor {step}: the distribution has no {given}"
        if tuple(steps) not in branches:
            branches.append(tuple(steps))
    for name in (step for branch in branches for step in branch):
        if "/phoenix_" in name:
            raise BadConfiguration(
                f"{view.file} names a processor {name!r}, which is a name that Phoenix uses.",
                remedy="Give it another name.",
            )
    return branches, list(dropped.values())


def _processor(view: View, name: str) -> dict[str, Any]:
    return view.settings("processors", name)


def _named(branches: Sequence[tuple[str, ...]]) -> dict[str, list[str]]:
    if len(branches) == 1:
        return {"all": list(branches[0])}
    return {f"branch_{i}": list(branch) for i, branch in enumerate(branches, start=1)}


def _pipeline(file: str, recipe: Mapping[str, Any], names: Sequence[str]) -> Pipeline:
    stem = re.sub(r"[^a-z0-9]+", "-", PurePath(file).stem.lower()).strip("-")[:40]
    types = {type_of("processors", name) for name in names}
    return Pipeline(
        name=f"imported-{stem or 'configuration'}",
        title=f"Imported from {PurePath(file).name}",
        strategy="imported",
        description="The process scrape and the processors of an existing configuration.",
        use_cases=("the collector that runs today",),
        expected_reduction="not known before it is measured",
        changes_scrape=False,
        conserves_totals=types <= _CHANGES_NOTHING,
        parameters=(),
        source=file,
        template=documents.dump(recipe),
        literal=True,
    )


def _variables(recipe: Mapping[str, Any], file: str) -> list[str]:
    """The environment variables that the imported parts refer to."""
    found: dict[str, None] = {}
    for text in _texts(recipe):
        for reference in _REFERENCE.findall(text):
            variable = _VARIABLE.match(reference)
            if variable is None:
                raise BadConfiguration(
                    f"{file} refers to ${{{reference[:60]}}}, which is not followed.",
                    remedy="Write the value itself; only environment variables may be referred to.",
                )
            if variable[1].startswith("PHOENIX_"):
                raise BadConfiguration(
                    f"{file} refers to {variable[1]}, which belongs to Phoenix.",
                    remedy="Use another variable.",
                )
            found[variable[1]] = None
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _receivers(view: View, taken: str) -> Iterator[str]:
    for identifier in view.section("receivers"):
        if identifier != taken:
            yield f"receiver {identifier}: only one process scrape is compared"
    scrapers = view.settings("receivers", taken)["scrapers"]
    others = sorted(str(name) for name in scrapers if name != "process")
    if others:
        yield f"scrapers {', '.join(others)} of {taken}: only processes are compared"


def _pipelines(view: View, flows: Sequence[Flow]) -> Iterator[str]:
    carried = {step for flow in flows for step in flow.processors}
    passed = {name for flow in flows for name in flow.pipes}
    for pipe in view.pipes:
        if pipe.signal != "metrics":
            yield f"pipeline {pipe.name}: only metrics are compared"
        elif pipe.name not in passed:
            yield f"pipeline {pipe.name}: it carries no process metrics"
    for identifier in view.section("processors"):
        if identifier not in carried:
            yield f"processor {identifier}: no process metric passes it"


def _rest(view: View, flows: Sequence[Flow]) -> Iterator[str]:
    used = {name for flow in flows for name in flow.exporters}
    for identifier in view.section("exporters"):
        what = "the meter takes its place" if identifier in used else "no process metric reaches it"
        yield f"exporter {identifier}: {what}"
    for identifier in view.section("connectors"):
        if type_of("connectors", identifier) != _FOLLOWED:
            yield f"connector {identifier}: what it makes is not compared"
    for identifier in view.section("extensions"):
        yield f"extension {identifier}: an arm needs none"
    if view.at("service", "telemetry") is not None:
        yield "service.telemetry: an arm reports to Phoenix"


def _otherwise(
    recipe: Mapping[str, Any],
    branches: Sequence[tuple[str, ...]],
    flows: Sequence[Flow],
    settings: Mapping[str, Any],
) -> Iterator[str]:
    if any(type_of("processors", name) == "batch" for name in recipe["processors"]):
        yield "batch: left out in the shadow, where one request is one scrape; kept for production"
    if len(flows) > len(branches) or any(len(flow.exporters) > 1 for flow in flows):
        yield "several exporters get the same data: it is counted once"
    if "root_path" in recipe["receiver"]:
        yield "root_path: a shadow reads this host directly; kept for production"
    if settings.get("collection_interval") is not None:
        yield "collection_interval: the experiment's interval is used"


def _interval(value: Any) -> Decimal | None:
    try:
        return duration_s(value)
    except (TypeError, ValueError, BadParameter):
        return None
