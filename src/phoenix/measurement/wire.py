"""Where the numbers are in an OTLP ResourceMetrics message, without decoding it.

A process scraped twice gives two messages that differ only in the eight-byte windows of values and
times, since those fields have a fixed width in protobuf. So a message is cut into what stays (the
*statics*) and what moves (the *windows*), and `struct` then reads all windows of a known message in
one call. This module finds the windows; `otlp` proves them against the official decoder before it
trusts them.

Field numbers are those of opentelemetry-proto 1.x, metrics.proto; the wire format is that of
protobuf (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from dataclasses import dataclass

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_START, _TIME, _DOUBLE, _INT = 2, 3, 4, 6
_MOST_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Window:
    """Eight bytes at `offset` that hold a value ("d", "q"), a time ("t") or a start time ("s")."""

    offset: int
    kind: str


class NoShape(Exception):
    """The message has no usable shape: not sums and gauges of plain numbers, or broken."""


def windows(block: bytes) -> list[Window]:
    """The windows of a ResourceMetrics message, in order of their offsets.

    Raises:
        NoShape: it holds histograms or summaries, more than 2,000 points, or cannot be walked.
    """
    found: list[Window] = []
    for number, wire, begin, end in _fields(block, 0, len(block)):
        if number == 2 and wire == _LENGTH:  # scope_metrics
            _scope(block, begin, end, found)
    if len(found) > 3 * _MOST_POINTS:
        raise NoShape
    return found


def _scope(block: bytes, begin: int, end: int, found: list[Window]) -> None:
    for number, wire, b, e in _fields(block, begin, end):
        if number == 2 and wire == _LENGTH:  # metrics
            _metric(block, b, e, found)


def _metric(block: bytes, begin: int, end: int, found: list[Window]) -> None:
    for number, wire, b, e in _fields(block, begin, end):
        if wire == _LENGTH and number in (5, 7):  # gauge, sum
            for inner, inner_wire, ib, ie in _fields(block, b, e):
                if inner == 1 and inner_wire == _LENGTH:  # data_points
                    _point(block, ib, ie, found)
        elif number in (9, 10, 11):
            raise NoShape


def _point(block: bytes, begin: int, end: int, found: list[Window]) -> None:
    kinds = {_START: "s", _TIME: "t", _DOUBLE: "d", _INT: "q"}
    for number, wire, b, _ in _fields(block, begin, end):
        if wire == _FIXED64 and number in kinds:
            found.append(Window(b, kinds[number]))


def _fields(block: bytes, at: int, end: int) -> list[tuple[int, int, int, int]]:
    """(field number, wire type, begin, end) of every field between two offsets."""
    fields = []
    while at < end:
        tag, at = _varint(block, at, end)
        wire = tag & 7
        if wire == _LENGTH:
            size, at = _varint(block, at, end)
            after = at + size
        elif wire == _FIXED64:
            after = at + 8
        elif wire == _VARINT:
            _, after = _varint(block, at, end)
        elif wire == _FIXED32:
            after = at + 4
        else:
            raise NoShape  # groups, which OTLP does not use
        if after > end:
            raise NoShape
        fields.append((tag >> 3, wire, at, after))
        at = after
    return fields


def _varint(block: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = block[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NoShape
