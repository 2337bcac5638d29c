"""Our error tree as exit codes and one-line messages: the only table of its kind for the terminal.

0 done · 2 invalid · 3 denied · 4 not found · 5 conflict · 6 unavailable · 7 throttled · 9 tampered;
`experiment run` exits 0 adopt, 10 keep the baseline, 11 needs tuning, 12 inconclusive.
"""

from __future__ import annotations

from phoenix.base.errors import (
    Conflict,
    Denied,
    Invalid,
    NotFound,
    PhoenixError,
    Tampered,
    Throttled,
    Unavailable,
)

EXIT_CODES: dict[type[PhoenixError], int] = {
    Invalid: 2,
    Denied: 3,
    NotFound: 4,
    Conflict: 5,
    Unavailable: 6,
    Throttled: 7,
    Tampered: 9,
}

VERDICT_EXITS = {"adopt_candidate": 0, "keep_baseline": 10, "needs_tuning": 11, "inconclusive": 12}

_BY_STATUS: dict[int, type[PhoenixError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    429: Throttled,
    500: Tampered,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def category_of(status: int) -> type[PhoenixError]:
    """The category of an HTTP status; every other 4xx says that the request was wrong."""
    return _BY_STATUS.get(status, Invalid if 400 <= status < 500 else PhoenixError)


def exit_code(error: PhoenixError) -> int:
    """The exit code of the error's category."""
    for category, code in EXIT_CODES.items():
        if isinstance(error, category):
            return code
    return 1
