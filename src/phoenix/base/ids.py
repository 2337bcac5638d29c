"""Identifiers: `exp-` and eight of a-z0-9 for experiments, a prefix and a UUIDv7 for the rest."""

from __future__ import annotations

import re
import secrets
import string
import time
import uuid

EXPERIMENT_ID = re.compile(r"^exp-[a-z0-9]{8}$")
_ALPHABET = string.ascii_lowercase + string.digits


def new_experiment_id() -> str:
    """`exp-` and eight random characters: about 41 bits, checked for uniqueness by the database."""
    return "exp-" + "".join(secrets.choice(_ALPHABET) for _ in range(8))


def uuid7() -> uuid.UUID:
    """A time-ordered identifier (RFC 9562 section 5.7): 48 bits of time, then randomness."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return uuid.UUID(int=value)


def new_id(prefix: str) -> str:
    """For example `run_0199…`; sortable by the time it was made."""
    return f"{prefix}_{uuid7()}"
