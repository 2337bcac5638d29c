"""What an arm emitted, as the series that a backend would hold.

The meter tells *resources*: attributes of a process, and which points it had. A backend turns each
point into one series, and the resource into `job`, `instance`, labels and `target_info`. Two series
that a backend gives the same labels are one there: it keeps neither apart, and neither do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from phoenix.guard import names
from phoenix.guard.backend import Backend, Escaping, Strategy
from phoenix.measurement.emitted import Emitted, Kind, Point

METRIC_NAME = "__name__"
TARGET_INFO = "target_info"
_IDENTIFYING = ("service.name", "service.namespace", "service.instance.id")


def of(emitted: Emitted, backend: Backend) -> Iterable[dict[str, str]]:
    """The label sets of every series that the backend makes of it."""
    resource = dict(emitted.resource)
    own = _of_resource(resource)
    for point in emitted.points:
        if point.delta:
            continue
        labels = _labels(point, resource, own, backend)
        name = _metric(
            backend.strategy, backend.escaping, backend.namespace,
            point.metric, point.unit, point.kind,
        )  # fmt: skip
        if name is not None:
            yield from _named(name, point, labels)
    info = _target_info(resource, own, backend)
    if info is not None:
        yield info


def _of_resource(resource: Mapping[str, str]) -> dict[str, str]:
    """`job` and `instance`, which come from the service's identity."""
    own = {}
    if "service.name" in resource:
        space = resource.get("service.namespace")
        own["job"] = f"{space}/{resource['service.name']}" if space else resource["service.name"]
    if "service.instance.id" in resource:
        own["instance"] = resource["service.instance.id"]
    return own


def _labels(
    point: Point, resource: Mapping[str, str], own: Mapping[str, str], backend: Backend
) -> dict[str, str]:
    if backend.resource_labels == "all":
        # The exporter writes the resource over the point where both have an attribute.
        labels = _sanitized({**dict(point.attributes), **resource}, backend)
    else:
        promoted = {key: resource[key] for key in backend.resource_labels if key in resource}
        labels = {
            **_sanitized(promoted, backend),
            **_sanitized(dict(point.attributes), backend),
        }
    labels |= own
    return {**backend.external_labels, **labels}


def _sanitized(attributes: Mapping[str, str], backend: Backend) -> dict[str, str]:
    """Attributes as labels; values of those that become one label are joined with `;`."""
    labels: dict[str, str] = {}
    for key in sorted(attributes):
        label = _label(backend.strategy, backend.escaping, key)
        value = attributes[key]
        if label is None or label == METRIC_NAME or not value:
            continue  # an empty label is no label
        labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


@lru_cache(maxsize=4096)
def _label(strategy: Strategy, escaping: Escaping, key: str) -> str | None:
    return names.label_name(Backend(strategy=strategy, escaping=escaping), key)


@lru_cache(maxsize=4096)
def _metric(
    strategy: Strategy, escaping: Escaping, namespace: str, metric: str, unit: str, kind: Kind
) -> str | None:
    backend = Backend(strategy=strategy, escaping=escaping, namespace=namespace)
    return names.metric_name(backend, metric, unit, kind)


def _named(name: str, point: Point, labels: dict[str, str]) -> Iterable[dict[str, str]]:
    if point.kind == "histogram":
        yield {METRIC_NAME: f"{name}_count", **labels}
        yield {METRIC_NAME: f"{name}_sum", **labels}
        for bound in (*point.bounds, "+Inf"):
            yield {METRIC_NAME: f"{name}_bucket", **labels, "le": bound}
    elif point.kind == "summary":
        yield {METRIC_NAME: f"{name}_count", **labels}
        yield {METRIC_NAME: f"{name}_sum", **labels}
        for quantile in point.bounds:
            yield {METRIC_NAME: name, **labels, "quantile": quantile}
    else:
        yield {METRIC_NAME: name, **labels}


def _target_info(
    resource: Mapping[str, str], own: Mapping[str, str], backend: Backend
) -> dict[str, str] | None:
    """The series that carries the resource; None where the exporters write none."""
    rest = {
        key: value
        for key, value in resource.items()
        if backend.keep_identifying or key not in _IDENTIFYING
    }
    if not backend.target_info or not own or not any(key not in _IDENTIFYING for key in rest):
        return None
    name = f"{backend.namespace}_{TARGET_INFO}" if backend.namespace else TARGET_INFO
    return {
        METRIC_NAME: name,
        **backend.external_labels,
        **_sanitized(rest, backend),
        **own,
    }
