"""Query parameters, read strictly: a misspelt filter that is ignored shows the wrong answer, and a
repeated one means two things."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BeforeValidator

from phoenix.api.problems import Malformed

_DIGITS = re.compile(r"-?[0-9]{1,18}")


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("a whole number in digits is needed")
    return value


# Without it, ` 7 `, `1_000` and `7.0` would be numbers too.
Whole = Annotated[int, BeforeValidator(_digits)]


def known_once(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or that is given twice.

    Raises:
        Malformed: 400; the answer repeats names, never values, which may be secret.
    """
    route = request.scope.get("route")
    known = (
        [field.alias for field in route.dependant.query_params]
        if isinstance(route, APIRoute)
        else []
    )
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise Malformed(
                400,
                "unknown_query_parameter",
                f"This route has no query parameter '{name[:40]}'.",
                remedy=f"It has: {', '.join(known)}." if known else "It has none.",
            )
        if name in seen:
            raise Malformed(
                400, "query_parameter_twice", f"The query parameter '{name}' is given twice."
            )
        seen.add(name)
