"""A body is read as exactly what was sent, or refused: no second reader could see another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from phoenix.api.bodies import BODY_BYTES_MAX, DEPTH_MAX, InvalidBody, StrictBody, in_schema, read
from phoenix.api.problems import Malformed


class Inner(StrictBody):
    """A part."""

    share: float = 0.5


class Sample(StrictBody):
    """One field of each kind."""

    text: str = Field("", max_length=40)
    whole: int = Field(0, ge=0, le=10)
    flag: bool = False
    inner: Inner | None = None
    free: dict[str, Any] = Field(default_factory=dict)


def reading(body: bytes, *parts: bytes, kind: str = "application/json") -> Sample:
    """`body`, and further parts of it, as a `Sample`."""
    waiting = [body, *parts]

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    headers = [(b"content-type", kind.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return asyncio.run(read(request, Sample))


_keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(free=st.dictionaries(_keys, documents, max_size=4))
def test_what_json_can_say_arrives_as_it_was_sent(free: dict[str, Any]) -> None:
    body = json.dumps({"free": free, "whole": 7}).encode()
    found = reading(body[:5], body[5:])
    assert json.dumps(found.free, sort_keys=True) == json.dumps(free, sort_keys=True)
    assert found.whole == 7


@settings(max_examples=300, deadline=None, derandomize=True)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        reading(body)
    except (Malformed, InvalidBody) as refusal:
        assert refusal.message


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"',
     "application/json ;charset=utf-8"],
)  # fmt: skip
def test_json_may_say_that_it_is_utf_8(kind: str) -> None:
    assert reading(b"{}", kind=kind) == Sample()


@pytest.mark.parametrize("depth", [DEPTH_MAX - 2, DEPTH_MAX])
def test_nesting_is_bounded(depth: int) -> None:
    body = b'{"free":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    if depth < DEPTH_MAX - 1:
        assert reading(body).free
    else:
        with pytest.raises(Malformed) as refused:
            reading(body)
        assert (refused.value.status, refused.value.problem_code) == (400, "json_syntax")


def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    body = b'{"whole":1}'
    assert reading(body + b" " * (BODY_BYTES_MAX - len(body))).whole == 1
    with pytest.raises(Malformed) as refused:
        reading(body + b" " * (BODY_BYTES_MAX - len(body)), b" ")
    assert refused.value.status == 413


def test_a_refusal_says_where_and_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(InvalidBody) as refused:
        reading(b'{"inner":{"share":"hunter2"}}')
    assert refused.value.message.startswith("inner.share: ")
    assert "hunter2" not in refused.value.message


def test_the_schema_of_a_body_stands_alone() -> None:
    schema = in_schema(Sample)["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in json.dumps(schema)
    assert schema["additionalProperties"] is False
