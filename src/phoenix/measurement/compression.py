"""Unpacking bodies without letting a small one fill the memory.

Two bounds hold while unpacking, not after it: an absolute one, and one on the ratio (process
metrics shrink 10 to 25 times; nothing honest shrinks 250 times). gzip goes through ISA-L
(Intel's igzip, python-isal), about three times as fast as zlib on these bodies.
"""

from __future__ import annotations

from typing import Final, cast

import zstandard
from isal import isal_zlib

from phoenix.measurement.errors import MalformedBody, TooLarge, UnsupportedMedia

BODY_BYTES_MAX: Final = 16 << 20
"""The largest body, as sent."""
UNPACKED_BYTES_MAX: Final = 32 << 20
"""The largest body once unpacked."""
_IsalError = cast("type[Exception]", isal_zlib.error)
_RATIO_MAX = 250
_RATIO_FROM_BYTES = 1 << 20  # below this no ratio is harmful
_GZIP = 31  # zlib's wbits for a gzip header
_ZSTD_WINDOW_BYTES = 8 << 20  # RFC 8878 section 3.1.1.1.2 recommends to accept this much
_ZSTD_STEP_BYTES = 256  # one step yields 8 MiB at most: a block of 128 KiB takes 4 bytes


def unpack(body: bytes, encoding: str) -> bytes:
    """`body` without its Content-Encoding: "", "identity", "gzip" or "zstd".

    Raises:
        TooLarge: more than UNPACKED_BYTES_MAX.
        MalformedBody: broken, truncated, or packed beyond any honest ratio.
        UnsupportedMedia: another encoding.
    """
    if encoding in ("", "identity"):
        return body
    bound = min(UNPACKED_BYTES_MAX, max(_RATIO_FROM_BYTES, _RATIO_MAX * len(body)))
    if encoding == "gzip":
        return _gunzip(body, bound)
    if encoding == "zstd":
        return _unzstd(body, bound)
    raise UnsupportedMedia(
        f"The Content-Encoding {encoding[:40]!r} is not read here.",
        remedy="Set `compression` of the exporter to gzip, zstd or none.",
    )


def _gunzip(body: bytes, bound: int) -> bytes:
    parts: list[bytes] = []
    left = bound
    while True:  # RFC 1952 section 2.2: a file is one member or more
        member = isal_zlib.decompressobj(wbits=_GZIP)
        try:
            part = member.decompress(body, left + 1)
        except _IsalError as reason:
            raise _broken("gzip") from reason
        left -= len(part)
        if left < 0:
            raise _too_large(bound)
        if not member.eof:
            raise _broken("gzip")
        parts.append(part)
        body = member.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _unzstd(body: bytes, bound: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(
        read_across_frames=False
    )
    parts: list[bytes] = []
    left = bound
    for at in range(0, len(body), _ZSTD_STEP_BYTES):
        try:
            part = reader.decompress(body[at : at + _ZSTD_STEP_BYTES])
        except zstandard.ZstdError as reason:
            raise _broken("zstd") from reason
        left -= len(part)
        if left < 0:
            raise _too_large(bound)
        parts.append(part)
        if reader.eof:
            if reader.unused_data or at + _ZSTD_STEP_BYTES < len(body):
                raise _broken("zstd")  # one frame is one body; exporters send no second one
            return b"".join(parts)
    raise _broken("zstd")


def _broken(encoding: str) -> MalformedBody:
    return MalformedBody(
        f"The body is not whole {encoding} data.",
        remedy="Send the body complete, with the Content-Encoding that it has.",
    )


def _too_large(bound: int) -> TooLarge | MalformedBody:
    if bound < UNPACKED_BYTES_MAX:
        return MalformedBody(
            f"The body unpacks to more than {_RATIO_MAX} times its size.",
            remedy="Nothing that a collector sends does; look at who sent it.",
        )
    return TooLarge(
        f"The body unpacks to more than {UNPACKED_BYTES_MAX} bytes.",
        remedy="Make requests smaller: `sending_queue.batch.max_size` of the exporter.",
    )
