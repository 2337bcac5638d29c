"""What the runtime refuses."""

from __future__ import annotations

from phoenix.base.errors import Invalid, Unavailable


class CollectorMissing(Unavailable):
    """The collector is not built."""


class CollectorNotStarted(Unavailable):
    """A collector could not be started."""


class ConfigurationRefused(Invalid):
    """The collector refuses the configuration."""
