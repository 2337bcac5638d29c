"""How two configurations differ, as people read it: a unified diff."""

from __future__ import annotations

import difflib


def diff(a: str, b: str, a_name: str, b_name: str) -> str:
    """The unified diff from `a` to `b` with three lines around each change; empty when equal."""
    lines = difflib.unified_diff(
        a.splitlines(), b.splitlines(), fromfile=a_name, tofile=b_name, lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
