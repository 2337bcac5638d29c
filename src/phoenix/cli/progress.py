"""Progress of long steps: one line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

EVERY_S = 15.0


class Progress:
    """Tell it what is going on as often as you like; it shows what is worth showing."""

    def __init__(self, indent: str = "") -> None:
        self._indent = indent
        self._moves = sys.stderr.isatty()
        self._step = ""
        self._shown_at = float("-inf")
        self._width = 0

    def __call__(self, said: object) -> None:
        """Show `said`; its words before a colon name the step."""
        line = f"{self._indent}{said}"
        if self._moves:
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            step, now = line.split(":", maxsplit=1)[0].split(" (", maxsplit=1)[0], time.monotonic()
            if step == self._step and now - self._shown_at < EVERY_S:
                return
            self._step, self._shown_at = step, now
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def done(self) -> None:
        """End the moving line."""
        if self._moves and self._width:
            sys.stderr.write("\n")
