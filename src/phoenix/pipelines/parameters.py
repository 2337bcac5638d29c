"""Typed parameters: what a person or a program gives becomes a checked value, or a refusal.

Text is accepted for every type, since a command line has nothing else. The checked value has one
spelling (see `model.Value`), so equal parameters render and hash alike.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from phoenix.pipelines import re2
from phoenix.pipelines.errors import BadParameter
from phoenix.pipelines.model import Parameter, Pipeline, Value

_UNIT_S = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_UNIT_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9,
               "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}  # fmt: skip
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h))")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\Z")
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_MOST_NAMES = 200
_LONGEST_NAME = 512

_ACCEPTED = {
    "integer": "a whole number",
    "number": "a decimal number",
    "duration": 'a duration such as "30s", "500ms" or "1m30s", or a number of seconds',
    "bytes": 'a size such as "64MiB", or a number of bytes',
    "names": "a list of patterns (RE2), or text with commas",
    "boolean": "true or false",
}


def resolve(pipeline: Pipeline, given: Mapping[str, Any] | None) -> dict[str, Value]:
    """Every parameter of `pipeline`, in its own order: what was given, else the default.

    Raises:
        BadParameter: unknown, of the wrong type, or out of range; the remedy lists what is allowed.
    """
    given = given or {}
    known = {parameter.name: parameter for parameter in pipeline.parameters}
    for name in given:
        if name not in known:
            raise BadParameter(
                f"{pipeline.name} has no parameter {name!r}{_did_you_mean(name, known)}.",
                remedy=_allowed(pipeline),
            )
    return {name: check(known[name], given.get(name, known[name].default)) for name in known}


def check(parameter: Parameter, value: Any) -> Value:
    """`value` in its one spelling.

    Raises:
        BadParameter: of the wrong type or out of range.
    """
    try:
        checked: Value = _READERS[parameter.type](value)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
        reason = f": {error}" if isinstance(error, ValueError) and str(error) else ""
        raise BadParameter(
            f"{parameter.name} cannot be {_shown(value)}{reason}.",
            remedy=f"Give {describe(parameter)}.",
        ) from error
    if parameter.name == "categories":
        _check_categories(parameter, checked)
    elif parameter.type == "names":
        _check_patterns(parameter, checked)
    if not _in_range(parameter, checked):
        raise BadParameter(
            f"{parameter.name} cannot be {_shown(value)}: it is out of range.",
            remedy=f"Give {describe(parameter)}.",
        )
    return checked


def describe(parameter: Parameter) -> str:
    """What may be given for `parameter`, as a phrase."""
    phrase = _ACCEPTED[parameter.type]
    if parameter.name == "categories":
        phrase = "a list of category=pattern (RE2), or text with commas"
    if parameter.minimum is not None and parameter.maximum is not None:
        phrase += f" from {parameter.minimum} to {parameter.maximum}"
    return phrase


def pairs(categories: Sequence[str]) -> list[tuple[str, str]]:
    """`category=pattern` taken apart."""
    return [(name, pattern) for name, _, pattern in (item.partition("=") for item in categories)]


def duration_s(value: Any) -> Decimal:
    """The seconds that a duration parameter means."""
    text = _duration(value)
    return sum((Decimal(n) * _UNIT_S[unit] for n, unit in _DURATION.findall(text)), Decimal(0))


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise TypeError
    return _plain(Decimal(str(value)))


def _duration(value: Any) -> str:
    """A Go duration in whole seconds, or milliseconds when it is no whole number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise TypeError
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = Decimal(text)
    elif text and _DURATION.sub("", text) == "":
        seconds = sum((Decimal(n) * _UNIT_S[u] for n, u in _DURATION.findall(text)), Decimal(0))
    else:
        raise ValueError("that is no duration")
    milliseconds = seconds * 1000
    if milliseconds != int(milliseconds):
        raise ValueError("finer than a millisecond")
    whole = int(milliseconds)
    return f"{whole}ms" if whole % 1000 else f"{whole // 1000}s"


def _bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    found = _BYTES.match(str(value).strip())
    if found is None or found[2].lower() not in _UNIT_BYTES:
        raise ValueError("that is no size")
    return int(Decimal(found[1]) * _UNIT_BYTES[found[2].lower()])


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError
    names = tuple(item.strip() for item in value)
    if len(names) > _MOST_NAMES:
        raise ValueError(f"more than {_MOST_NAMES} entries")
    if any(not name or len(name) > _LONGEST_NAME or not name.isprintable() for name in names):
        raise ValueError(f"an entry is empty, unprintable or longer than {_LONGEST_NAME}")
    return names


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise TypeError


_READERS: dict[str, Any] = {
    "integer": _integer,
    "number": _number,
    "duration": _duration,
    "bytes": _bytes,
    "names": _names,
    "boolean": _boolean,
}


def _check_patterns(parameter: Parameter, value: Value) -> None:
    assert isinstance(value, tuple)
    for pattern in value:
        if (reason := re2.why_not_re2(pattern)) is not None:
            raise BadParameter(
                f"{parameter.name} cannot hold the pattern {pattern!r}: {reason}.",
                remedy="Use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
            )


def _check_categories(parameter: Parameter, value: Value) -> None:
    assert isinstance(value, tuple)
    for item, (name, pattern) in zip(value, pairs(value), strict=True):
        if not _CATEGORY.match(name) or not pattern:
            raise BadParameter(
                f"{parameter.name} cannot hold {item!r}.",
                remedy="Write category=pattern, the category in lower case: browser=^chrome.",
            )
    _check_patterns(parameter, tuple(pattern for _, pattern in pairs(value)))


def _in_range(parameter: Parameter, value: Value) -> bool:
    low, high = parameter.minimum, parameter.maximum
    number = _comparable(parameter, value)
    if number is None:
        return True
    if not number.is_finite():
        return False
    below = low is not None and number < (_comparable(parameter, low) or 0)
    return not below and not (high is not None and number > (_comparable(parameter, high) or 0))


def _comparable(parameter: Parameter, value: Value) -> Decimal | None:
    if parameter.type in {"integer", "number", "bytes"}:
        return Decimal(str(value))
    return duration_s(value) if parameter.type == "duration" else None


def _plain(number: Decimal) -> str:
    """Decimal text without exponent or trailing zeros; not-a-number is refused by the range."""
    if not number.is_finite():
        raise ValueError("it is no number")
    if abs(number.adjusted()) > 30:
        raise ValueError("it is beyond any use")
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _did_you_mean(name: str, known: Mapping[str, Parameter]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _allowed(pipeline: Pipeline) -> str:
    if not pipeline.parameters:
        return "It takes none."
    return "It takes: " + "; ".join(f"{p.name}, {describe(p)}" for p in pipeline.parameters) + "."


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
