"""Before a report is drawn: is it one, and can its words do any harm to the reader?

A report holds names that strangers chose (any program may call itself what it likes), and
`report --from` draws files that anybody may have written. A terminal obeys escape sequences, a
page obeys direction marks, so both show them as visible text instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from phoenix.base.errors import Invalid

SCHEMA = "phoenix.report/1"
_AGAIN = "Fetch it again: phoenix experiment report ID -o json > report.json"
_PARTS = (
    "experiment",
    "verdict",
    "reduction",
    "ticks",
    "processes",
    "costs",
    "overhead",
    "unobserved",
    "series",
    "configurations",
    "provenance",
)
# Control characters (C0 but tab and newline, DEL, C1), direction marks and invisible joiners.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class ReportUnreadable(Invalid):
    """That is not a report of an experiment."""


def checked(document: object) -> dict[str, Any]:
    """`document` with every unseen character made visible.

    Raises:
        ReportUnreadable: it is no report of a schema that this version draws.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise ReportUnreadable(remedy=f"Give a report.json with `schema: {SCHEMA}`.")
    missing = [part for part in _PARTS if part not in document]
    if missing:
        raise ReportUnreadable(
            f"The report lacks {', '.join(missing)}.",
            remedy=_AGAIN,
        )
    try:
        cleaned = _cleaned(document)
    except RecursionError as error:
        raise ReportUnreadable("The report is nested too deeply.", remedy=_AGAIN) from error
    assert isinstance(cleaned, dict)
    return cleaned


@contextmanager
def drawing(*more: type[Exception]) -> Iterator[None]:
    """While a report is drawn: a part that is not what it should be is refused, not half drawn.

    Args:
        more: what else such a part makes the drawer raise.

    Raises:
        ReportUnreadable: instead of the drawer's own error.
    """
    broken: tuple[type[Exception], ...] = (
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError, *more,
    )  # fmt: skip
    try:
        yield
    except broken as error:
        raise ReportUnreadable(
            f"A part of the report is not as it should be: {error}.",
            remedy=_AGAIN,
        ) from error


def visible(text: str) -> str:
    """`text` with control characters and direction marks spelled out, for example `\\x1b`."""
    return _UNSEEN.sub(lambda found: _spelled(ord(found.group())), text)


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        # Python reads and writes `NaN` and `Infinity` in JSON; no plot has a place for them.
        raise ReportUnreadable(f"The report holds {value}, which is no number.", remedy=_AGAIN)
    return value
