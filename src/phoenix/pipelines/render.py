"""A pipeline becomes the text that a collector runs; the same input gives the same bytes.

There are three places to run one:

- `scraper`: the one collector of a shadow that reads the processes. It drops Phoenix's own, hides
  the arguments of command lines, and hands the same scrape to each arm, each through a queue of its
  own that never blocks: an arm that stalls or dies costs the others nothing.
- `arm`: one collector per arm, with exactly the processors that would be promoted. It is fed by the
  scraper, or reads the processes itself when the pipeline changes how they are read.
- `production`: what to deploy.

Ports, addresses, tokens and the salt come from the environment when the collector starts
(`ENVIRONMENT` lists them), so no rendering holds one. A shadow has no batching anywhere: a request
holds data of one scrape of one arm, which is what the meter counts by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from phoenix.base.canonical import sha256_hex
from phoenix.pipelines import documents, ottl, parameters
from phoenix.pipelines.errors import BadParameter
from phoenix.pipelines.model import CriticalRule, Pipeline, Revision, Value
from phoenix.pipelines.recipe import Recipe, build

ENVIRONMENT: Mapping[str, str] = {
    "PHOENIX_OTLP_LISTEN": "arm: host:port on which it receives the scrape (HTTP)",
    "PHOENIX_METER_ENDPOINT": "arm: base URL of this arm at the meter",
    "PHOENIX_METER_TOKEN": "arm: bearer token for the meter",
    "PHOENIX_BASELINE_ENDPOINT": "scraper: host:port of the arm `baseline`",
    "PHOENIX_CANDIDATE_ENDPOINT": "scraper: host:port of the arm `candidate`",
    "PHOENIX_TELEMETRY_PORT": "arm and scraper: loopback port of the collector's own metrics",
    "PHOENIX_REDACTION_SALT": "scraper, self-scraping arm, production: secret text for the hashes",
    "OTLP_ENDPOINT": "production: where the metrics go",
}

_SHORTEST_INTERVAL_S = Decimal("0.1")
_LONGEST_INTERVAL_S = Decimal(3600)
_RECEIVER = "host_metrics"
_OTLP = "otlp"
_FORWARD = "forward/scrape"
_LIMITER = "memory_limiter"
_OWN = "filter/phoenix_own"
_REDACT = "transform/phoenix_redact"

# A scrape of 2,000 processes is about 2.5 MB; gRPC's own limit is 4 MiB.
_LARGEST_MESSAGE_MIB = 64
# Ten times what 1,400 points need; a queue of a minute of large scrapes fits as well.
_MEMORY_LIMIT: Mapping[str, Any] = {
    "check_interval": "1s",
    "limit_mib": 512,
    "spike_limit_mib": 128,
}
# One consumer keeps the scrapes in order. Full means the newest is refused, never that the sender
# waits: a blocked queue stalls the receiver and with it the other arm.
_QUEUE: Mapping[str, Any] = {
    "enabled": True,
    "num_consumers": 1,
    "queue_size": 60,
    "block_on_overflow": False,
}
_RETRY: Mapping[str, Any] = {
    "enabled": True,
    "initial_interval": "500ms",
    "max_interval": "2s",
    "max_elapsed_time": "60s",
}
# What the filters of a shadow look at, whether or not the recipe keeps it.
_HELPERS = ("process.executable.path", "process.command_line")


def arm(
    pipeline: Pipeline,
    params: Mapping[str, Any] | None,
    critical: Sequence[CriticalRule],
    interval_s: float,
    redact: bool = True,
    own_paths: Sequence[str] = (),
    *,
    fed: bool | None = None,
) -> Revision:
    """The configuration of one arm of a shadow.

    Args:
        redact: hide the arguments of command lines (only where the arm reads processes itself; a
            fed arm gets them hidden already).
        own_paths: prefixes of executables that belong to Phoenix (likewise).
        fed: the scrape comes from the scraper. By default it does unless the pipeline changes the
            scrape; True for a baseline whose scrape the scraper makes.

    Raises:
        BadParameter: a parameter or the interval; BadCriticalRule: the pipeline needs a rule.
    """
    values = parameters.resolve(pipeline, params)
    made = build(pipeline, values, critical, _checked(interval_s))
    fed = not pipeline.changes_scrape if fed is None else fed
    made = _without_batch(made)
    receivers: dict[str, Any]
    if fed:
        http = {
            "endpoint": "${env:PHOENIX_OTLP_LISTEN}",
            "max_request_body_size": _LARGEST_MESSAGE_MIB * 1024 * 1024,
        }
        receivers = {_OTLP: {"protocols": {"http": http}}}
        guards: dict[str, Any] = {}
    else:
        scrape, added = _with_helpers(made.scraper)
        receivers = _host_metrics(_of_this_host(made.receiver), scrape, interval_s)
        guards = _guards(made.scraper, own_paths, redact, added)
    exporter = {
        "endpoint": "${env:PHOENIX_METER_ENDPOINT}",
        "compression": "gzip",
        "headers": {"Authorization": "Bearer ${env:PHOENIX_METER_TOKEN}"},
        "sending_queue": dict(_QUEUE),
        "retry_on_failure": dict(_RETRY),
    }
    document = _document(made, receivers, guards, {"otlp_http/meter": exporter})
    document["service"] |= _telemetry()
    return _revision(pipeline, values, f"{pipeline.name}, an arm of a shadow", document)


def scraper(
    baseline_pipeline: Pipeline,
    params: Mapping[str, Any] | None,
    interval_s: float,
    arms: Sequence[str],
    own_paths: Sequence[str],
    redact: bool,
    critical: Sequence[CriticalRule] = (),
) -> Revision:
    """The configuration of the collector that reads the processes for every arm in `arms`.

    It emits what the baseline's own scrape emits. `critical` matters only to a baseline whose
    scrape is chosen by it.

    Raises:
        BadParameter: a parameter or the interval; BadCriticalRule: the pipeline needs a rule.
    """
    values = parameters.resolve(baseline_pipeline, params)
    made = build(baseline_pipeline, values, critical, _checked(interval_s))
    scrape, added = _with_helpers(made.scraper)
    assert all(name.isidentifier() for name in arms), "an arm's name is part of a variable's"
    feed = Recipe(receiver={}, scraper={}, processors={}, branches={"scrape": []})
    exporters = {
        # Over HTTP: after an outage gRPC waits by a back-off of its own, up to two minutes, and an
        # arm that is back would seem blind for that long.
        f"otlp_http/{name}": {
            "endpoint": f"http://${{env:PHOENIX_{name.upper()}_ENDPOINT}}",
            "compression": "none",
            "sending_queue": dict(_QUEUE),
            "retry_on_failure": dict(_RETRY),
        }
        for name in arms
    }
    receivers = _host_metrics(_of_this_host(made.receiver), scrape, interval_s)
    guards = _guards(made.scraper, own_paths, redact, added)
    document = _document(feed, receivers, guards, exporters)
    document["service"] |= _telemetry()
    about = f"the scrape of {baseline_pipeline.name} for {', '.join(arms)}"
    return _revision(baseline_pipeline, values, about, document)


def production(
    pipeline: Pipeline,
    params: Mapping[str, Any] | None,
    critical: Sequence[CriticalRule],
    interval_s: float,
    redact: bool = True,
) -> Revision:
    """The configuration to deploy: it scrapes, processes and sends to `${env:OTLP_ENDPOINT}`.

    Raises:
        BadParameter: a parameter or the interval; BadCriticalRule: the pipeline needs a rule.
    """
    values = parameters.resolve(pipeline, params)
    made = build(pipeline, values, critical, _checked(interval_s))
    receivers = _host_metrics(made.receiver, made.scraper, interval_s)
    exporter = {"endpoint": "${env:OTLP_ENDPOINT}", "compression": "gzip"}
    guards = _redaction(made.scraper) if redact else {}
    document = _document(_with_batch_last(made), receivers, guards, {"otlp_http": exporter})
    document["extensions"] = {"health_check": {"endpoint": "127.0.0.1:13133"}}
    document["service"] = {"extensions": ["health_check"], **document["service"]}
    return _deployable(pipeline, values, document, bool(guards))


def same_scrape(
    a: tuple[Pipeline, Mapping[str, Any] | None],
    b: tuple[Pipeline, Mapping[str, Any] | None],
    critical: Sequence[CriticalRule] = (),
) -> bool:
    """Do two pipelines (with their parameters) read the processes in the same way?"""
    made = [build(p, parameters.resolve(p, given), critical, 1) for p, given in (a, b)]
    return made[0].scraper == made[1].scraper and made[0].receiver == made[1].receiver


def duration(seconds: float) -> str:
    """`seconds` as the collector writes a duration."""
    milliseconds = int(Decimal(str(seconds)) * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _document(
    made: Recipe, receivers: dict[str, Any], guards: dict[str, Any], exporters: dict[str, Any]
) -> dict[str, Any]:
    """Receivers, guards and the recipe as one collector configuration.

    The guards run once, before the branches part: with several branches a forward connector hands
    each of them the guarded scrape.
    """
    limiter = {} if _limits_memory(made) else {_LIMITER: dict(_MEMORY_LIMIT)}
    head = {**limiter, **guards}
    sent, read = list(exporters), list(receivers)
    pipelines: dict[str, Any]
    if len(made.branches) == 1:
        ((_, steps),) = made.branches.items()
        pipelines = {"metrics": _pipeline(read, _in_order(head, steps), sent)}
    else:
        pipelines = {"metrics/scrape": _pipeline(read, list(head), [_FORWARD])}
        for name, steps in made.branches.items():
            pipelines[f"metrics/{name}"] = _pipeline([_FORWARD], list(steps), sent)
    document: dict[str, Any] = {"receivers": receivers}
    # A recipe's own limiter stands for ours; nothing of a recipe stands for a guard.
    if processors := {**head, **made.processors, **guards}:
        document["processors"] = processors
    document["exporters"] = exporters
    if len(made.branches) > 1:
        document["connectors"] = {_FORWARD: {}}
    document["service"] = {"pipelines": pipelines}
    return document


def _pipeline(read: list[str], steps: list[str], sent: list[str]) -> dict[str, Any]:
    return {"receivers": read, "processors": steps, "exporters": sent}


def _in_order(head: Mapping[str, Any], steps: Sequence[str]) -> list[str]:
    """A recipe's own memory limiter stays first; our guards come right after it."""
    if steps and steps[0].split("/")[0] == _LIMITER:
        return [steps[0], *head, *steps[1:]]
    return [*head, *steps]


def _limits_memory(made: Recipe) -> bool:
    steps = next(iter(made.branches.values()))
    return len(made.branches) == 1 and bool(steps) and steps[0].split("/")[0] == _LIMITER


def _host_metrics(
    receiver: Mapping[str, Any], scrape: Mapping[str, Any], interval_s: float
) -> dict[str, Any]:
    interval = {"collection_interval": duration(interval_s)}
    return {_RECEIVER: {**receiver, **interval, "scrapers": {"process": dict(scrape)}}}


def _of_this_host(receiver: Mapping[str, Any]) -> dict[str, Any]:
    """A shadow reads the host that it runs on, also for a recipe made for a container."""
    return {key: value for key, value in receiver.items() if key != "root_path"}


def _with_helpers(scrape: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`scrape` with the attributes that the guards look at, and those that must go afterwards."""
    attributes = dict(scrape.get("resource_attributes") or {})
    added = [name for name in _HELPERS if not _emits(scrape, name)]
    if not added:
        return dict(scrape), []
    for name in added:
        attributes[name] = {**(attributes[name] or {}), "enabled": True}
    return {**scrape, "resource_attributes": attributes}, added


def _emits(scrape: Mapping[str, Any], attribute: str) -> bool:
    setting = (scrape.get("resource_attributes") or {}).get(attribute) or {}
    return bool(setting.get("enabled", True))


def _guards(
    scrape: Mapping[str, Any], own_paths: Sequence[str], redact: bool, added: Sequence[str]
) -> dict[str, Any]:
    """The filter of our own processes, then the redaction; both fail closed."""
    own = f'resource.attributes["process.pid"] != nil and {ottl.own(own_paths)}'
    guards: dict[str, Any] = {_OWN: {"error_mode": "propagate", "metric_conditions": [own]}}
    hidden = _redaction(scrape) if redact else {}
    statements = [f'delete_key(resource.attributes, "{name}")' for name in added]
    statements += hidden[_REDACT]["metric_statements"] if hidden else []
    if statements:
        guards[_REDACT] = {"error_mode": "propagate", "metric_statements": statements}
    return guards


def _redaction(scrape: Mapping[str, Any]) -> dict[str, Any]:
    """Replace commands by the executable's name and a salted hash: same series, no secret.

    The mode is `propagate`: were a statement to fail, the scrape is lost rather than shown.
    """
    names = [n for n in ("process.command_line", "process.command") if _emits(scrape, n)]
    if not names:
        return {}
    return {
        _REDACT: {
            "error_mode": "propagate",
            "metric_statements": [_hidden(f'resource.attributes["{name}"]') for name in names],
        }
    }


def _hidden(path: str) -> str:
    salted = f'Concat(["${{env:PHOENIX_REDACTION_SALT}}", {path}], "")'
    shown = f'Concat([{ottl.NAME}, Substring(SHA256({salted}), 0, 16)], " ")'
    return f'set({path}, {shown}) where {path} != nil and {path} != ""'


def _without_batch(made: Recipe) -> Recipe:
    """A batch would merge two scrapes into one request."""
    return Recipe(
        receiver=made.receiver,
        scraper=made.scraper,
        processors={k: v for k, v in made.processors.items() if not _is_batch(k)},
        branches={k: [s for s in v if not _is_batch(s)] for k, v in made.branches.items()},
    )


def _with_batch_last(made: Recipe) -> Recipe:
    """Fewer, larger requests; last, since before an aggregation it would merge or split scrapes."""
    if any(_is_batch(name) for name in made.processors):
        return made
    batch = {"batch": {"send_batch_size": 1000, "timeout": "5s"}}
    return Recipe(
        receiver=made.receiver,
        scraper=made.scraper,
        processors={**made.processors, **batch},
        branches={name: [*steps, "batch"] for name, steps in made.branches.items()},
    )


def _is_batch(name: str) -> bool:
    return name.split("/", maxsplit=1)[0] == "batch"


def _telemetry() -> dict[str, Any]:
    prometheus = {"host": "127.0.0.1", "port": "${env:PHOENIX_TELEMETRY_PORT}"}
    reader = {"pull": {"exporter": {"prometheus": prometheus}}}
    return {"telemetry": {"metrics": {"level": "normal", "readers": [reader]}}}


def _revision(
    pipeline: Pipeline, values: Mapping[str, Value], about: str, document: Mapping[str, Any]
) -> Revision:
    text = f"# Rendered by Phoenix: {about}.\n{documents.dump(document)}"
    return Revision(
        pipeline=pipeline.name,
        parameters=values,
        config=text,
        sha256=sha256_hex(text.encode("utf-8")),
    )


def _deployable(
    pipeline: Pipeline, values: Mapping[str, Value], document: Mapping[str, Any], salted: bool
) -> Revision:
    body = documents.dump(document)
    lines = [
        f"# Rendered by Phoenix: {pipeline.name}.",
        *(f"# {name}: {_shown(value)}" for name, value in values.items()),
        f"# SHA-256 of what follows the comments: {sha256_hex(body.encode('utf-8'))}",
        "# From the environment: OTLP_ENDPOINT, where the metrics go"
        + (", and PHOENIX_REDACTION_SALT, secret text for the hashes." if salted else "."),
    ]
    if pipeline.demonstration:
        lines.insert(1, "# A demonstration of a mistake: do not deploy.")
    text = "\n".join(lines) + "\n" + body
    return Revision(
        pipeline=pipeline.name,
        parameters=values,
        config=text,
        sha256=sha256_hex(text.encode("utf-8")),
    )


def _shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _checked(interval_s: float) -> float:
    number = Decimal(str(interval_s))
    if not number.is_finite() or not _SHORTEST_INTERVAL_S <= number <= _LONGEST_INTERVAL_S:
        raise BadParameter(
            f"The interval cannot be {interval_s} s.",
            remedy=f"Give {_SHORTEST_INTERVAL_S} to {_LONGEST_INTERVAL_S} s.",
        )
    if number * 1000 != int(number * 1000):
        raise BadParameter(
            f"The interval {interval_s} s is finer than a millisecond.",
            remedy="Give whole milliseconds.",
        )
    return interval_s
