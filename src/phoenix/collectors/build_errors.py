"""Why the collector could not be built, told so that the reader knows what to do next.

Go says what went wrong on its standard error, in words made for Go programmers. `explain` turns the
few causes that a user can mend into refusals with a remedy; anything else is shown as Go said it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from phoenix.base.errors import NotFound, PhoenixError, Tampered, Unavailable

_CREDENTIALS_IN_URL = re.compile(r"://[^/@\s]+@")
_SHOWN_LINES = 15


class GoMissing(Unavailable):
    """No Go of version 1.26 or newer is on PATH or in this Python environment."""


class SourcesMissing(NotFound):
    """The folder `collector/` with the sources of the collector is not there."""


class ModulesUnreachable(Unavailable):
    """The Go modules of the collector could not be downloaded."""


class DiskFull(Unavailable):
    """There is not enough room on the disk to build the collector."""


class ModulesTampered(Tampered):
    """A downloaded Go module is not the one that was pinned."""


class BuildFailed(Unavailable):
    """The collector could not be built."""


_CAUSES: tuple[tuple[re.Pattern[str], type[PhoenixError], str], ...] = (
    (
        re.compile(r"no space left on device|disk quota exceeded", re.I),
        DiskFull,
        "Free some space, or set PHOENIX_GO_CACHE to a folder on a larger disk, and run it again: "
        "what was downloaded is kept.",
    ),
    (
        re.compile(r"checksum mismatch|SECURITY ERROR"),
        ModulesTampered,
        "Do not use this module mirror (GOPROXY), or remove the Go module cache and try once more.",
    ),
    (
        re.compile(
            r"dial tcp|no such host|connection re(fused|set)|i/o timeout|TLS handshake|"
            r"network is unreachable|proxyconnect|unexpected EOF|"
            r"module lookup disabled|40[1347] |50[0234] ",
            re.I,
        ),
        ModulesUnreachable,
        "Check the network, HTTPS_PROXY and GOPROXY (a module mirror), and run it again: what was "
        "downloaded is kept.",
    ),
    (
        re.compile(r"signal: killed|cannot allocate memory", re.I),
        BuildFailed,
        "The compiler ran out of memory: free about 2 GB, or set GOFLAGS=-p=1, and run it again.",
    ),
)


def explain(step: str, lines: Sequence[str]) -> PhoenixError:
    """The refusal for a `step` that failed and said `lines`; URLs lose their credentials."""
    said = [_CREDENTIALS_IN_URL.sub("://***@", line) for line in lines if line.strip()]
    text = "\n".join(said)
    tail = "\n".join(said[-_SHOWN_LINES:])
    for pattern, refusal, remedy in _CAUSES:
        if pattern.search(text):
            return refusal(f"{refusal.__doc__} While {step}:\n{tail}\n", remedy=remedy)
    return BuildFailed(
        f"The collector could not be built. While {step}:\n{tail}\n",
        remedy="Report it with the lines above; `phoenix down --purge` and a new start rule out a "
        "damaged cache.",
    )
