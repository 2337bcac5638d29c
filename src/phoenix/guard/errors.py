"""How the guard refuses.

PhoenixError
└── Invalid
    └── UnknownBackend      no such preset or setting
"""

from __future__ import annotations

from phoenix.base.errors import Invalid


class UnknownBackend(Invalid):
    """That does not say how a backend names its series."""
