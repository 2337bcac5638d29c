"""Which series a selector finds in an arm.

An equality or a list of names (`nginx|envoy`, as most patterns of rules are) is looked up; any
other pattern is tried on the distinct values of its label, once for each pattern. Patterns are
anchored at both ends and a dot matches every character, as Prometheus has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from phoenix.guard import variables
from phoenix.guard.columns import WITHHELD, Arm, Codes, Flags, Rows
from phoenix.guard.promql import Matcher
from phoenix.pipelines import re2

_ANYTHING = ".*"
_FEW = 8
_LITERAL = re.compile(r"(?:[\w /:@%,;<>=~#&!'\"-]|\\[^\w\s])+\Z", re.ASCII)
_WRAPPED = re.compile(r"\^?(?:\((?:\?:)?(?P<inner>[^()]*)\)|(?P<bare>[^()]*?))\$?\Z", re.DOTALL)

Choices = Mapping[str, tuple[str, ...] | None]
"""For each variable its choices as patterns; None when it may be anything."""


class CannotJudge(Exception):
    """It cannot be said what becomes of it; the message says why."""


def rows(arm: Arm, groups: tuple[tuple[Matcher, ...], ...]) -> Rows:
    """The rows of an arm that a selector finds.

    Raises:
        CannotJudge: a pattern is not read alike by Prometheus and Python, or asks for a value
            that was not kept.
    """
    found = [_of_group(arm, group) for group in groups]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def plain(matcher: Matcher, choices: Choices) -> Matcher:
    """The matcher with a pattern of every choice in place of each variable."""
    marks = variables.MARK.findall(matcher.value)
    if not marks:
        return matcher
    is_pattern = matcher.operator in ("=~", "!~")
    excludes = matcher.operator in ("!=", "!~")
    parts = variables.MARK.split(matcher.value)
    # Texts and names of variables take turns.
    for at, part in enumerate(parts):
        if at % 2 == 0:
            parts[at] = part if is_pattern else re2.quote(part)
            continue
        values = choices.get(part)
        if values is None and excludes:
            # It excludes whatever is chosen, and nothing has to be chosen.
            return Matcher(matcher.label, "=~", _ANYTHING)
        parts[at] = ".+" if values is None else f"({'|'.join(values)})"
    return Matcher(matcher.label, "!~" if excludes else "=~", "".join(parts))


@lru_cache(maxsize=20_000)
def literals(pattern: str) -> tuple[str, ...] | None:
    """The texts that a pattern lists, None when it is more than a list."""
    wrapped = _WRAPPED.match(pattern)
    if wrapped is None:
        return None
    parts = (wrapped["inner"] if wrapped["inner"] is not None else wrapped["bare"]).split("|")
    if not all(_LITERAL.match(part) for part in parts):
        return None
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)


@lru_cache(maxsize=20_000)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as Prometheus reads it; to be matched against a whole text.

    Raises:
        CannotJudge: Go and Python do not read it alike.
    """
    reason = re2.why_not_both(pattern)
    if reason is not None:
        raise CannotJudge(f"the pattern {pattern!r} cannot be tried here: {reason}")
    return re.compile(re2.compiled(pattern).pattern, re.ASCII | re.DOTALL)


def accepts(matcher: Matcher, text: str) -> bool:
    """Whether a value of the label satisfies the matcher."""
    match matcher.operator:
        case "=":
            return text == matcher.value
        case "!=":
            return text != matcher.value
    listed = literals(matcher.value)
    if listed is not None:
        matched = text in listed
    else:
        matched = compiled(matcher.value).fullmatch(text) is not None
    return matched if matcher.operator == "=~" else not matched


def _of_group(arm: Arm, group: tuple[Matcher, ...]) -> Rows:
    # The condition that leaves the fewest goes first.
    looked_up = {
        matcher: arm.rows_of(matcher.label, codes)
        for matcher in group
        if (codes := _listed(arm, matcher)) is not None
    }
    first = min(looked_up, key=lambda m: sum(map(len, looked_up[m])), default=None)
    found = np.arange(arm.size) if first is None else _together(looked_up[first])
    for matcher in group:
        if not len(found):
            return found
        column = arm.labels.get(matcher.label)
        if column is None:
            if not accepts(matcher, ""):
                return found[:0]
            continue
        values = column[found]
        _refuse_withheld(arm, matcher, values)
        if matcher is not first:
            found = found[_among(values, _accepted(arm, matcher))]
    return found


def _together(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.intp)


def _among(values: Codes, accepted: Codes) -> Flags:
    """Which values are accepted; a few comparisons are faster than a sort."""
    if len(accepted) > _FEW:
        return np.isin(values, accepted)
    found = np.zeros(len(values), dtype=np.bool_)
    for code in accepted:
        found |= values == code
    return found


def _listed(arm: Arm, matcher: Matcher) -> Codes | None:
    """The codes that a matcher lists by their texts; None when it does not, or accepts absence."""
    texts: tuple[str, ...] | None = None
    if matcher.operator == "=":
        texts = (matcher.value,)
    elif matcher.operator == "=~":
        texts = literals(matcher.value)
    if texts is None or "" in texts:
        return None
    known = {arm.words.known(text) for text in texts} - {None}
    return np.array(sorted(code for code in known if code is not None), dtype=np.uint64)


def _accepted(arm: Arm, matcher: Matcher) -> Codes:
    """The codes of the label's values that satisfy the matcher, 0 for its absence included."""
    listed = _listed(arm, matcher)
    if listed is not None:
        return listed
    cached = arm.accepted.get(matcher)
    if cached is None:
        texts = arm.words.texts
        codes = [0, *(int(code) for code in arm.values_of(matcher.label) if code)]
        cached = np.array(
            [code for code in codes if accepts(matcher, texts[code])], dtype=np.uint64
        )
        arm.accepted[matcher] = cached
    return cached


def _refuse_withheld(arm: Arm, matcher: Matcher, values: Codes) -> None:
    """A value that was not kept can only be asked whether it is there."""
    code = arm.words.known(WITHHELD)
    if code is None or not (values == code).any():
        return
    if matcher.value in (".*", ".+") or (matcher.value == "" and matcher.operator in ("=", "!=")):
        return
    raise CannotJudge(f"it asks for values of {matcher.label}, which are never kept")
