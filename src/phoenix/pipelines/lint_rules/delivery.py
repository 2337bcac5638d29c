"""Where the data goes and what it needs to get there: endpoints, queues, storage, ports, variables.

An unset variable and an unreachable endpoint are not errors to a collector: it starts and retries.
Reachability is not for a lint; variables are checked when the caller says which ones will be set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines.components import type_of
from phoenix.pipelines.lint_rules.view import Finding, Path, View, items

_OLD_DEFAULT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):-")
_VARIABLE = re.compile(r"(?<!\$)\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")
_LOOPBACK = re.compile(
    r"(?:https?://)?(?:127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\])?:(\d+)(?:/|\Z)"
)
_NETWORK = frozenset(("otlp_grpc", "otlp_http", "prometheus_remote_write"))


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module."""
    yield from _variables(view)
    for identifier in view.section("exporters"):
        if type_of("exporters", identifier) in _NETWORK:
            yield from _endpoint(view, identifier)
            yield from _queue(view, identifier)
    yield from _storage(view)
    yield from _ports(view)


def _variables(view: View) -> Iterator[Finding]:
    for path, value in view.scalars():
        if not isinstance(value, str):
            continue
        if (old := _OLD_DEFAULT.search(value)) is not None:
            yield view.finding(
                "env-default-syntax", "error", path,
                f"A default needs the scheme: {old[0]}.. is refused.",
                f"Write ${{env:{old[1]}:-default}}.",
            )  # fmt: skip
        for found in _VARIABLE.finditer(value):
            if view.environment is not None and found[1] not in view.environment:
                yield view.finding(
                    "env-unset", "error", path, f"{found[1]} is not set, so it is empty.",
                    f"Set {found[1]}, or write ${{env:{found[1]}:-default}}.",
                )  # fmt: skip


def _endpoint(view: View, identifier: str) -> Iterator[Finding]:
    if type_of("exporters", identifier) == "otlp_grpc":
        return
    endpoint = view.settings("exporters", identifier).get("endpoint")
    if isinstance(endpoint, str) and not re.match(r"https?://[^/]|\$\{", endpoint):
        yield view.finding(
            "bad-endpoint", "error", ("exporters", identifier, "endpoint"),
            f"{endpoint!r} has no scheme.", "Begin with http:// or https://.",
        )  # fmt: skip


def _queue(view: View, identifier: str) -> Iterator[Finding]:
    path: Path = ("exporters", identifier, "sending_queue")
    queue = view.at(*path)
    if not isinstance(queue, Mapping):
        return
    if queue.get("block_on_overflow") is True:
        yield view.finding(
            "queue-blocks", "warning", (*path, "block_on_overflow"),
            "A full queue that blocks stalls the receiver and everything else that it feeds.",
            "Leave it out: the newest data is refused, and counted.",
        )  # fmt: skip
    if queue.get("enabled") is False:
        yield view.finding(
            "queue-disabled", "warning", (*path, "enabled"),
            "Without a queue a retry (up to 5 minutes) stalls the receiver and all that it feeds.",
            "Keep the queue; one consumer keeps the order.",
        )  # fmt: skip
    storage = queue.get("storage")
    enabled = [str(e) for e in items(view.at("service", "extensions"))]
    if storage is not None and str(storage) not in enabled:
        yield view.finding(
            "storage-extension-missing", "error", (*path, "storage"),
            f"{storage} is not among service.extensions: validate accepts it, the start fails.",
            f"Define extensions.{storage} and name it in service.extensions.",
        )  # fmt: skip


def _storage(view: View) -> Iterator[Finding]:
    for identifier in view.section("extensions"):
        settings = view.settings("extensions", identifier)
        if type_of("extensions", identifier) == "file_storage" and not settings.get(
            "create_directory"
        ):
            yield view.finding(
                "storage-directory", "warning", ("extensions", identifier, "directory"),
                "The directory must exist on every host, or the configuration is refused.",
                "Set create_directory: true.",
            )  # fmt: skip


def _ports(view: View) -> Iterator[Finding]:
    """Two listeners on one port, or a listener where an exporter expects another program."""
    listeners: dict[int, list[Path]] = defaultdict(list)
    for path, value in view.scalars():
        port = _listening(view, path, value)
        if port is not None:
            listeners[port].append(path)
    for paths in listeners.values():
        for path in paths[1:]:
            yield _conflict(view, path, f"{'.'.join(map(str, paths[0]))} listens there too")
    for identifier in view.section("exporters"):
        endpoint = view.settings("exporters", identifier).get("endpoint")
        found = _LOOPBACK.match(endpoint) if isinstance(endpoint, str) else None
        if found is not None and int(found[1]) in listeners:
            path = listeners[int(found[1])][0]
            yield _conflict(view, path, f"{identifier} sends to another program there")


def _listening(view: View, path: Path, value: Any) -> int | None:
    keys = [str(step) for step in path]
    if keys[:1] == ["service"] and keys[-2:] == ["prometheus", "port"]:
        return value if isinstance(value, int) else None
    if keys[0] in {"receivers", "extensions"} and keys[-1] == "endpoint" and isinstance(value, str):
        used = keys[0] == "receivers" or keys[1] in items(view.at("service", "extensions"))
        found = re.search(r":(\d+)\Z", value)
        return int(found[1]) if found and used else None
    return None


def _conflict(view: View, path: Path, why: str) -> Finding:
    return view.finding(
        "port-conflict", "error", path,
        f"The port is taken: {why}. validate accepts it, the start fails.",
        "Choose another port.",
    )  # fmt: skip
