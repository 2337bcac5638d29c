"""Request bodies, read strictly: what two JSON readers could understand differently is refused.

Duplicate keys, NaN and Infinity, NUL and lone surrogates, a byte-order mark, another charset than
UTF-8, an unknown field or a number where text belongs: each has its own answer, and none is a 5xx.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from phoenix.api.problems import Malformed
from phoenix.base.errors import Invalid

BODY_BYTES_MAX = 2 * 1024 * 1024

Body = TypeVar("Body", bound="StrictBody")


class StrictBody(BaseModel):
    """A body that accepts exactly its fields, exactly typed."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class InvalidBody(Invalid):
    """The request body does not have the expected fields."""

    code = "validation_error"


async def read(request: Request, model: type[Body]) -> Body:
    """The request's JSON body as `model`.

    Raises:
        Malformed: not JSON, or not as JSON must be sent (400, 413, 415).
        InvalidBody: JSON, but not this body (422).
    """
    raw = await _bytes(request)
    if not raw.strip():
        raise Malformed(400, "body_missing", "This request needs a JSON body.")
    value = _parse(raw)
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidBody(f"{where or 'body'}: {first['msg']}") from error


async def _bytes(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").lower()
    essence, _, parameters = kind.partition(";")
    if essence.strip() != "application/json" or (
        "charset" in parameters and "utf-8" not in parameters
    ):
        raise Malformed(
            415, "unsupported_media_type", "Send the body as application/json, in UTF-8."
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Malformed(415, "unsupported_encoding", "Send the body uncompressed.")
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
        raise Malformed(400, "json_syntax", "The body starts with a byte-order mark.")
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise Malformed(400, "json_syntax", "The body is not UTF-8.") from error
    except RecursionError as error:
        raise Malformed(400, "json_syntax", "The body is nested too deeply.") from error
    except ValueError as error:
        raise Malformed(400, "json_syntax", f"The body is not JSON: {error}.") from error
    _refuse_unstorable_text(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed(400, "json_duplicate_key", "A key stands twice in one object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise Malformed(400, "json_syntax", f"{name} is not JSON.")


def _refuse_unstorable_text(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidBody("Text may not contain the NUL character.")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Malformed(400, "json_syntax", "Text holds half a surrogate pair.") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable_text(key)
            _refuse_unstorable_text(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable_text(item)
