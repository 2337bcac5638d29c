"""Decisions of the runtime: back-off, phases, and when a member may run. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping

from phoenix.collectors.model import MemberStatus, ShadowPhase

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
HEALTHY_AFTER_S = 30.0
# A collector that never became ready this often in a row has a fault that waiting does not cure.
FAILED_STARTS_MAX = 4


def backoff_s(failures_in_a_row: int) -> float:
    """How long to wait before the next start."""
    return BACKOFF_S[min(max(failures_in_a_row, 1), len(BACKOFF_S)) - 1]


def phase(members: Mapping[str, MemberStatus], *, wanted: bool) -> ShadowPhase:
    """How the shadow as a whole is."""
    states = [member.state for member in members.values()]
    if not wanted:
        return "stopped"
    if "failed" in states:
        return "failed"
    if "paused" in states:
        return "paused"
    return "ready" if states and all(s == "running" for s in states) else "starting"
