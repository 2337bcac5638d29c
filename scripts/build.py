"""Builds the collector and the load program, unless this very build is there, and shows progress.

Started by make with the interpreter of .venv: `phoenix demo` builds by itself, tests and
measurements want it done before they begin. Exit code 6 when it cannot be built.
"""

from __future__ import annotations

import sys
import time

import machine

from phoenix.base.errors import PhoenixError
from phoenix.collectors import distribution

SAY_EVERY_S = 10.0


class Lines:
    """Prints each new step at once, and a step that lasts every ten seconds."""

    def __init__(self) -> None:
        self.step = ""
        self.said_at = 0.0

    def __call__(self, progress: distribution.Progress) -> None:
        """Hear how far the build is."""
        now = time.monotonic()
        if progress.step != self.step or now - self.said_at >= SAY_EVERY_S:
            self.step, self.said_at = progress.step, now
            print(f"  collector: {progress}", flush=True)


def main() -> int:
    """Build, or say what to do."""
    try:
        binary = distribution.build(machine.STATE, Lines())
    except PhoenixError as refusal:
        print(f"The collector cannot be built: {refusal}", file=sys.stderr)
        return 6
    except KeyboardInterrupt:
        return 130
    print(f"collector: {binary.relative_to(machine.ROOT)} is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
