"""`python -m phoenix` is `phoenix`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the command tree is imported only now, to keep start-up short."""
    from phoenix.cli.main import run  # noqa: PLC0415

    sys.exit(run())


if __name__ == "__main__":
    main()
