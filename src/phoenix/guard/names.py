"""OpenTelemetry names as Prometheus backends write them.

The rules are those of "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification
(opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics) as the two exporters
apply them, through the library that they share (github.com/prometheus/otlptranslator): a unit is
written out and appended unless the name has it already, a counter ends in `_total`, a gauge of unit
1 in `_ratio`, and what is no letter, digit, underscore or colon becomes one underscore.

Names are translated once per metric and label, not per series.
"""

from __future__ import annotations

import re
from typing import Final

from phoenix.guard.backend import Backend, Escaping
from phoenix.measurement.emitted import Kind

_UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds",
    "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER_UNITS: Final = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip
_NOT_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_METRIC_NOR_UNDERSCORE = re.compile(r"[^a-zA-Z0-9:_]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9]+")
_LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_ONE_LEGACY = re.compile(r"[a-zA-Z0-9_:]")


def metric_name(backend: Backend, name: str, unit: str, kind: Kind) -> str | None:
    """The name of an OTLP metric in the backend; None where the backend drops it for its name.

    A histogram's and a summary's own series (`_bucket`, `_sum`, `_count`) are not appended here.
    """
    if not backend.underscores:
        return _escaped(_utf8(backend, name, unit, kind), backend.escaping, _LEGACY_METRIC)
    if not backend.suffixes:
        translated = _joined(_NOT_METRIC_NOR_UNDERSCORE, name)
        if backend.namespace:
            return f"{_joined(_NOT_METRIC_NOR_UNDERSCORE, backend.namespace)}_{translated}"
    else:
        translated = _with_suffixes(backend, name, unit, kind)
    if translated != name and not translated.strip("_"):
        return None
    return f"_{translated}" if translated[:1].isdigit() else translated or None


def label_name(backend: Backend, name: str) -> str | None:
    """The label for an attribute's name; None where the backend refuses it."""
    if not name.strip("_"):
        return None
    if not backend.underscores:
        return _escaped(name, backend.escaping, _LEGACY_LABEL)
    reserved = len(name) >= 4 and name.startswith("__") and name.endswith("__")
    inner = _NOT_LABEL.sub("_", name[2:-2] if reserved else name)
    if not inner.strip("_"):
        return None
    if reserved:
        return f"__{inner}__"
    return f"key_{inner}" if inner[0].isdigit() else inner


def unit_words(unit: str) -> tuple[str, str]:
    """A UCUM unit as (unit, per unit) in words, each empty where it adds nothing to a name.

    Units in braces are annotations and mean nothing (`{process}`).
    """
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    in_words = "" if "{" in main or "}" in main else _UNITS.get(main, main)
    per_words = "" if "{" in per or "}" in per else _PER_UNITS.get(per, per)
    return in_words, f"per_{per_words}" if per_words else ""


def _joined(separators: re.Pattern[str], text: str) -> str:
    return "_".join(part for part in separators.split(text) if part)


def _with_suffixes(backend: Backend, name: str, unit: str, kind: Kind) -> str:
    words = [part for part in _NOT_METRIC.split(name) if part]
    main, per = (_clean(part) for part in unit_words(unit))
    per = "" if per == "per_" else per.removesuffix("_")
    if per in words:
        per = ""
    if main in words:
        main = ""
    if per:
        main = main.removesuffix("_")
    words += [part for part in (main, per) if part]
    for is_last, last in ((kind == "counter", "total"), (unit == "1" and kind == "gauge", "ratio")):
        if is_last:
            words = [word for word in words if word != last] + [last]
    if backend.namespace:
        words.insert(0, backend.namespace)
    return "_".join(words)


def _clean(unit: str) -> str:
    return re.sub(r"__+", "_", re.sub(r"[^a-zA-Z0-9:]", "_", unit)).removeprefix("_")


def _utf8(backend: Backend, name: str, unit: str, kind: Kind) -> str:
    """The name as it is; suffixes that are there already are moved to their place, not doubled."""
    if backend.namespace:
        name = f"{backend.namespace}_{name}"
    if not backend.suffixes:
        return name
    ends: list[str] = []
    if unit == "1" and kind == "gauge":
        ends.append("ratio")
    if kind == "counter":
        ends.append("total")
    main, per = unit_words(unit)
    if per:
        ends.append(per)
    for end in ends:
        if name.endswith(end) and len(name) > len(end) + 1:
            name = name[: -len(end) - 1]
    if main and not name.endswith(main):
        name = f"{name}_{main}"
    return "_".join([name, *reversed(ends)])


def _escaped(name: str, scheme: Escaping, legacy: re.Pattern[str]) -> str:
    """A name in one of the escaping schemes of Prometheus, for readers without UTF-8."""
    match scheme:
        case "none":
            return name
        case "underscores":
            return "".join(
                char if _ONE_LEGACY.match(char) and (at or not char.isdigit()) else "_"
                for at, char in enumerate(name)
            )
        case "dots":
            return "".join(_dotted(at, char) for at, char in enumerate(name))
        case "values":
            if legacy.match(name):
                return name
            return "U__" + "".join(_by_value(at, char) for at, char in enumerate(name))


def _dotted(at: int, char: str) -> str:
    if char == ".":
        return "_dot_"
    return char if char != "_" and _is_legacy(at, char) else "__"


def _by_value(at: int, char: str) -> str:
    if char == "_":
        return "__"
    return char if _is_legacy(at, char) else f"_{ord(char):x}_"


def _is_legacy(at: int, char: str) -> bool:
    return bool(_ONE_LEGACY.match(char)) and (at > 0 or not char.isdigit())
