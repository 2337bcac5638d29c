"""The one byte string for a value: hashing and signing start here.

A subset of RFC 8785 (JSON canonicalisation): UTF-8, keys sorted, no white space, integers, strings,
booleans, null, lists and objects. Floats are refused, since two readers may print one differently.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence


def canonical_bytes(value: object) -> bytes:
    """Return the canonical JSON of `value`.

    Raises:
        TypeError: the value holds a float or another type that has no canonical form.
    """
    _refuse_what_has_no_canonical_form(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256 (FIPS 180-4) of `data`."""
    return hashlib.sha256(data).hexdigest()


def _refuse_what_has_no_canonical_form(value: object) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"keys are text, not {type(key).__name__}")
            _refuse_what_has_no_canonical_form(item)
        return
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for item in value:
            _refuse_what_has_no_canonical_form(item)
        return
    raise TypeError(f"{type(value).__name__} has no canonical form; use text")
