"""Grafana's variables in an expression: `$var`, `${var}`, `${var:format}` and `[[var]]`.

What a variable stands for is known only when the panel is drawn, so an expression is judged for
every choice at once. Where a variable stands in a quoted text, two characters of Unicode's private
use mark its place, and the resolver puts in every choice as one regular expression. Anywhere else
(a duration, a label to group by, a number) the choice that the dashboard was saved with is put in.
Grafana's own variables (`$__rate_interval`, `$__range` ...) are durations, and any will do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OPEN: Final = "\ue000"
CLOSE: Final = "\ue001"
MARK: Final = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")

_USE = re.compile(
    r"\$\{(?P<braced>\w+)(?:\.[^:}]+)?(?::[^}]*)?\}"
    r"|\[\[(?P<bracketed>\w+)(?::\w+)?\]\]"
    r"|\$(?P<bare>\w+)"
)
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`", re.DOTALL)
_INTERVAL = "5m"
_OWN: Final[Mapping[str, str]] = {
    "__rate_interval": _INTERVAL,
    "__interval": _INTERVAL,
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
    "__interval_ms": "300000",
    "__from": "0",
    "__to": "3600000",
}


def marked(expr: str, known: frozenset[str], current: Mapping[str, str]) -> tuple[str, str]:
    """The expression without variables, and why that could not be done ("" when it could).

    Args:
        known: the names of the dashboard's variables.
        current: what each was saved with, where the file says so.
    """
    parts: list[str] = []
    missing: list[str] = []
    at = 0
    for text in _TEXT.finditer(expr):
        parts.append(_outside(expr[at : text.start()], current, missing))
        parts.append(_inside(text.group(), known, current))
        at = text.end()
    parts.append(_outside(expr[at:], current, missing))
    why = f"the dashboard does not say what ${missing[0]} stands for" if missing else ""
    return "".join(parts), why


def used(expr: str) -> frozenset[str]:
    """The names of the variables that stand in `expr`."""
    return frozenset(_name(use) for use in _USE.finditer(expr))


def _outside(code: str, current: Mapping[str, str], missing: list[str]) -> str:
    def put(use: re.Match[str]) -> str:
        name = _name(use)
        value = _OWN.get(name) or current.get(name, "")
        if value in ("auto", "$__auto") or value.startswith("$__auto_interval"):
            return _INTERVAL
        if not value:
            missing.append(name)
        return value

    return _USE.sub(put, code)


def _inside(text: str, known: frozenset[str], current: Mapping[str, str]) -> str:
    def put(use: re.Match[str]) -> str:
        name = _name(use)
        if name in known:
            return f"{OPEN}{name}{CLOSE}"
        # `$1` of label_replace is no variable, so what is not known stays.
        return _OWN.get(name) or current.get(name) or use.group()

    return _USE.sub(put, text)


def _name(use: re.Match[str]) -> str:
    return use["braced"] or use["bracketed"] or use["bare"]
