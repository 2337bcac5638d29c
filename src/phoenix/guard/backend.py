"""How a backend turns what a collector exports into series: the settings that decide about names.

Two ways lead from OTLP to Prometheus, and they differ in what they do with resource attributes:

- the collector's `prometheus_remote_write` exporter copies all of them to every series when
  `resource_to_telemetry_conversion` is on, and none when it is off;
- the OTLP endpoint of Prometheus 3 copies those in `otlp.promote_resource_attributes`, or all with
  `promote_all_resource_attributes`.

Both leave the rest on `target_info`. Names follow `otlp.translation_strategy`
(prometheus.io/docs/prometheus/latest/configuration/configuration/#otlp), and a name that is kept in
UTF-8 may be escaped once more for who cannot read it
(prometheus.io/docs/instrumenting/escaping_schemes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from phoenix.guard.errors import UnknownBackend

Strategy = Literal[
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
]
Escaping = Literal["none", "underscores", "dots", "values"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
ESCAPINGS: Final[tuple[Escaping, ...]] = get_args(Escaping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The settings of one backend.

    Attributes:
        strategy: `translation_strategy` of Prometheus; the collector's `add_metric_suffixes: false`
            is `UnderscoreEscapingWithoutSuffixes`.
        resource_labels: "all" resource attributes become labels, or those named, or none: ().
        namespace: the exporter's `namespace`, before every metric name.
        external_labels: labels that every series gets unless it has one of that name.
        target_info: whether `target_info` is written.
        keep_identifying: `keep_identifying_resource_attributes`: they stay on `target_info` too.
        escaping: of names that are no legacy names, where a reader asks for it.
    """

    name: str = "remote_write"
    strategy: Strategy = "UnderscoreEscapingWithSuffixes"
    resource_labels: Literal["all"] | tuple[str, ...] = "all"
    namespace: str = ""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    target_info: bool = True
    keep_identifying: bool = False
    escaping: Escaping = "none"

    @property
    def suffixes(self) -> bool:
        """Whether units and `_total` are appended to metric names."""
        return self.strategy.endswith("WithSuffixes")

    @property
    def underscores(self) -> bool:
        """Whether everything but letters, digits, underscores and colons is replaced."""
        return self.strategy.startswith("Underscore")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        labels = self.resource_labels
        return {
            "name": self.name,
            "strategy": self.strategy,
            "resource_labels": labels if labels == "all" else list(labels),
            "namespace": self.namespace,
            "external_labels": dict(self.external_labels),
            "target_info": self.target_info,
            "keep_identifying": self.keep_identifying,
            "escaping": self.escaping,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Backend:
        """What `to_dict` wrote; a field that is left out has the value of the preset named.

        Raises:
            UnknownBackend: no such preset, strategy, escaping or field.
        """
        given = dict(value)
        preset = preset_of(str(given.pop("name", "remote_write")))
        if isinstance(given.get("resource_labels"), list):
            given["resource_labels"] = tuple(str(each) for each in given["resource_labels"])
        try:
            backend = replace(preset, **given)
        except TypeError as error:
            raise UnknownBackend(
                f"A backend has no such setting: {error}.", remedy="See docs/reference/guard.md."
            ) from error
        if backend.strategy not in STRATEGIES or backend.escaping not in ESCAPINGS:
            raise UnknownBackend(
                f"There is no translation {backend.strategy!r} with {backend.escaping!r}.",
                remedy=f"Use one of: {', '.join(STRATEGIES)}; escaping: {', '.join(ESCAPINGS)}.",
            )
        return backend


PRESETS: Final[Mapping[str, Backend]] = MappingProxyType(
    {
        backend.name: backend
        for backend in (
            # The collector's exporter as process metrics need it: without the conversion all
            # processes of a host collapse into one series.
            Backend(name="remote_write"),
            Backend(name="remote_write_plain", resource_labels=()),
            # Prometheus 3's own OTLP endpoint as it comes.
            Backend(name="prometheus_otlp", resource_labels=()),
            Backend(name="prometheus_otlp_utf8", resource_labels="all", strategy="NoTranslation"),
        )
    }
)


def preset_of(name: str) -> Backend:
    """The settings known by this name.

    Raises:
        UnknownBackend: there are none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise UnknownBackend(
            f"There is no backend {name!r}.", remedy=f"Use one of: {', '.join(PRESETS)}."
        ) from None
