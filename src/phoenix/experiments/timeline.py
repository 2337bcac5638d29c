"""How each member of a shadow was, and when: intervals read off the runtime's samples.

A sample tells a member's state at one moment. Between two samples of one state the member was in
that state; around a change the worse of both is assumed, so that a tick near a pause is excluded
rather than counted against an arm that was not allowed to work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from phoenix.experiments.evidence import Interval, MemberState

_STATES: dict[str, MemberState] = {
    "running": "alive",
    "starting": "reloading",
    "paused": "paused",
    "reloading": "reloading",
}
_WORSE: tuple[MemberState, ...] = ("alive", "down", "reloading", "paused")


class Told(Protocol):
    """What is read of a sample."""

    @property
    def member(self) -> str: ...

    @property
    def at(self) -> datetime: ...

    @property
    def state(self) -> str: ...


def intervals(samples: Iterable[Told]) -> tuple[Interval, ...]:
    """The intervals of every member, in order of their start."""
    by_member: dict[str, list[Told]] = {}
    for sample in samples:
        by_member.setdefault(sample.member, []).append(sample)
    found = [i for name, told in by_member.items() for i in _of_one(name, told)]
    return tuple(sorted(found, key=lambda i: i.start))


def _of_one(member: str, told: Sequence[Told]) -> list[Interval]:
    ordered = sorted(told, key=lambda sample: sample.at)
    found: list[Interval] = []
    for before, after in pairwise(ordered):
        state = max(_state(before), _state(after), key=_WORSE.index)
        if found and found[-1].state == state:
            found[-1] = Interval(member=member, state=state, start=found[-1].start, end=after.at)
        else:
            found.append(Interval(member=member, state=state, start=before.at, end=after.at))
    if ordered:
        found.append(Interval(member=member, state=_state(ordered[-1]), start=ordered[-1].at))
    return found


def _state(sample: Told) -> MemberState:
    return _STATES.get(sample.state, "down")
