"""Is this a regular expression that the collector (Go, RE2 syntax) and we (Python) read alike?

RE2 has no look-around, back-references, atomic groups or possessive quantifiers, since it promises
linear time (https://github.com/google/re2/wiki/Syntax). Python has no `\\p{..}`, `\\z`, `\\Q..\\E`
or `[[:alpha:]]`. What both have means the same in both with `re.ASCII`.
"""

from __future__ import annotations

import re
import warnings

_NOT_RE2 = (
    (r"\(\?<?[=!]", "look-around"),
    (r"\(\?>", "an atomic group"),
    (r"\(\?\(", "a conditional group"),
    (r"\(\?P=", "a back-reference"),
    (r"\(\?#", "a comment group"),
    (r"\\[1-9]", "a back-reference"),
    (r"(?:[*+?]|\{\d+(?:,\d*)?\})\+", "a possessive quantifier"),
    (r"\\Z", r"\Z (write \z)"),
)
_NOT_PYTHON = (
    (r"\\[pP]", r"\p"),
    (r"\\z", r"\z"),
    (r"\\[QE]", r"\Q..\E"),
    (r"\\C", r"\C"),
    (r"\[\[:", "a [[:class:]]"),
    (r"\(\?[a-zA-Z]*U", "the U flag"),
)
_SPELLED_OTHERWISE_IN_PYTHON = re.compile(r"\(\?<(?=[A-Za-z_])")


def why_not_re2(pattern: str) -> str | None:
    """Why the collector would refuse `pattern`, or None when it would accept it."""
    bare = _without_literals(pattern)
    for trap, what in _NOT_RE2:
        if re.search(trap, bare):
            return f"RE2 has no {what}"
    if _needs_only_go(bare):
        return None  # valid for Go as far as we can tell; the collector's own check decides
    return _python_error(pattern)


def why_not_both(pattern: str) -> str | None:
    """Why `pattern` cannot be used in the collector and in Phoenix alike, or None when it can."""
    reason = why_not_re2(pattern)
    if reason is not None:
        return reason
    bare = _without_literals(pattern)
    for trap, what in _NOT_PYTHON:
        if re.search(trap, bare):
            return f"{what} is not understood alike everywhere"
    return None


def compiled(pattern: str) -> re.Pattern[str]:
    """`pattern` for Python, with the meaning that RE2 gives it; it passed `why_not_both`."""
    return re.compile(_SPELLED_OTHERWISE_IN_PYTHON.sub("(?P<", pattern), re.ASCII)


def quote(text: str) -> str:
    """A pattern that matches `text` and nothing else, in both syntaxes."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _without_literals(pattern: str) -> str:
    """Drop escaped backslashes, so that what remains after a backslash is really escaped by it.

    Escaped punctuation becomes `x` too: `\\(?=` is a literal parenthesis, not look-ahead.
    """
    return re.sub(r"\\[^A-Za-z0-9]", "x", pattern)


def _needs_only_go(bare: str) -> bool:
    return any(re.search(trap, bare) for trap, _ in _NOT_PYTHON)


def _python_error(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it does not parse: {error}"
    return None
