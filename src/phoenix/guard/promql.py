"""PromQL, parsed: the one home of the parser (PyPI `promql-parser`), and how its refusals read.

It reads Prometheus 3's grammar with quoted UTF-8 names; the experimental range modifiers `smoothed`
and `anchored` it does not know, and says so.
"""

from __future__ import annotations

from typing import Any

import promql_parser

LONGEST = 20_000  # characters; what is longer is no expression that somebody wrote


class Unparsable(Exception):
    """It is not PromQL that we can read; the message says why."""


def parse(text: str) -> Any:
    """The tree of an expression.

    Raises:
        Unparsable: it is none.
    """
    if len(text) > LONGEST:
        raise Unparsable(f"it is longer than {LONGEST} characters")
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise Unparsable(_one_line(error)) from error
    except RecursionError as error:
        raise Unparsable("it is nested too deeply") from error


def why_not(text: str) -> str:
    """Why `text` cannot be read as PromQL, or "" when it can."""
    try:
        parse(text)
    except Unparsable as error:
        return f"not PromQL that can be read: {error}"
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "no reason given"
