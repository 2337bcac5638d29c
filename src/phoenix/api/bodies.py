"""Request bodies, read strictly: what two JSON readers could understand differently is refused.

Duplicate keys, NaN and Infinity, NUL and lone surrogates, a byte-order mark, another charset than
UTF-8, an unknown field or a number where text belongs: each has its own answer, and none is a 5xx.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from phoenix.api.problems import Malformed
from phoenix.base.errors import Invalid

BODY_BYTES_MAX = 2 * 1024 * 1024
BODY_WITHIN_S = 10.0
DEPTH_MAX = 32
WHOLE_MAX = 2**63 - 1

_JSON = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)

Body = TypeVar("Body", bound="StrictBody")


class StrictBody(BaseModel):
    """A body that accepts exactly its fields, exactly typed."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


_REMEDY = "Send one JSON document in UTF-8, without a byte-order mark."


class InvalidBody(Invalid):
    """The request body does not have the expected fields."""

    code = "validation_error"


async def read(request: Request, model: type[Body]) -> Body:
    """The request's JSON body as `model`.

    Raises:
        Malformed: not JSON, or not as JSON must be sent (400, 408, 413, 415).
        InvalidBody: JSON, but not this body (422).
    """
    _check_media(request)
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            raw = await _bytes(request)
    except TimeoutError as error:
        raise Malformed(
            408, "body_too_slow", f"The body did not come within {BODY_WITHIN_S:g} s."
        ) from error
    if not raw.strip():
        raise Malformed(400, "body_missing", "This request needs a JSON body.", remedy=_REMEDY)
    value = _parse(raw)
    _refuse_unstorable(value)
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise InvalidBody(
            f"{where or 'body'}: {first['msg']}", remedy="GET /openapi.json names the fields."
        ) from error


def in_schema(model: type[StrictBody]) -> dict[str, Any]:
    """What a route that reads `model` by itself adds to its OpenAPI description."""
    schema = model.model_json_schema()
    named = schema.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inlined(named[value["$ref"].rpartition("/")[2]])
            return {key: inlined(item) for key, item in value.items()}
        return [inlined(item) for item in value] if isinstance(value, list) else value

    content = {"application/json": {"schema": inlined(schema)}}
    return {"requestBody": {"required": True, "content": content}}


def _check_media(request: Request) -> None:
    kinds = request.headers.getlist("content-type")
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0].strip()):
        raise Malformed(
            415,
            "unsupported_media_type",
            "Send the body as application/json, in UTF-8.",
            remedy="Content-Type: application/json",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Malformed(
            415, "unsupported_encoding", "The body is compressed.", remedy="Send it as it is."
        )


async def _bytes(request: Request) -> bytes:
    chunks, total = [], 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > BODY_BYTES_MAX:
            raise Malformed(
                413, "body_too_large", f"The body is larger than {BODY_BYTES_MAX} bytes."
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(raw: bytes) -> Any:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _not_json("The body starts with a byte-order mark.")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _not_json("The body is not UTF-8.") from error
    except RecursionError as error:
        raise _not_json("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise _not_json(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except ValueError as error:  # Python refuses to read integers of thousands of digits
        raise _not_json("The body holds an enormous number.") from error


def _not_json(message: str) -> Malformed:
    return Malformed(400, "json_syntax", message, remedy=_REMEDY)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed(
            400, "json_duplicate_key", "A key stands twice in one object.", remedy="Keep one."
        )
    return value


def _no_constant(name: str) -> NoReturn:
    raise _not_json(f"{name} is not JSON.")


def _refuse_unstorable(document: Any) -> None:
    """What JSON can say and a database row or another reader cannot hold."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise _not_json(f"The body is nested more than {DEPTH_MAX} deep.")
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for item in value.items() for part in item]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        else:
            _refuse_unstorable_scalar(value)


def _refuse_unstorable_scalar(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidBody("Text holds the NUL character.", remedy="Leave it out.")
        if not _is_unicode(value):
            raise _not_json("Text holds half a surrogate pair.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidBody("A number is too large for a double.", remedy="Use a smaller one.")
    elif isinstance(value, int) and abs(value) > WHOLE_MAX:
        raise InvalidBody("A number is too large for 64 bits.", remedy="Use a smaller one.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
