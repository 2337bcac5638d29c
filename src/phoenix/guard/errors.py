"""How the guard refuses.

PhoenixError
├── Invalid
│   ├── UnknownBackend      no such preset or setting
│   └── UnreadableQueries   a file or folder of rules or dashboards that holds none
└── Conflict
    └── NothingEmitted      the experiment has not measured anything yet
"""

from __future__ import annotations

from phoenix.base.errors import Conflict, Invalid


class UnknownBackend(Invalid):
    """That does not say how a backend names its series."""


class UnreadableQueries(Invalid):
    """There are no rules or dashboards to be read there."""


class NothingEmitted(Conflict):
    """Neither arm has emitted anything yet."""
