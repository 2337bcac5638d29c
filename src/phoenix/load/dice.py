"""The same choices from the same seed, on every machine and with every version of Python.

SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). The
standard library promises that for few of its methods and numpy for none of its distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Dice:
    """A stream of choices. Not for secrets."""

    def __init__(self, seed: int) -> None:
        assert 0 <= seed <= _MASK, "checked where the seed came in"
        self._state = seed

    def bits64(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def share(self) -> float:
        """Uniform in [0, 1), a multiple of 2**-53."""
        return (self.bits64() >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.share()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible (bias below 2**-32 for our ranges)."""
        return low + self.bits64() % (high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return options[self.whole(0, len(options) - 1)]

    def hexadecimal(self, digits: int) -> str:
        """`digits` hexadecimal digits, at most 16."""
        return f"{self.bits64():016x}"[:digits]
