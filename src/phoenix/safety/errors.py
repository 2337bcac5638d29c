"""What the kill plane refuses."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Invalid, Tampered, Unavailable


class Killed(Unavailable):
    """A kill is in force."""


class NotKilled(Conflict):
    """No kill is in force."""


class Overtaken(Conflict):
    """Another kill or revive came first; nothing was changed."""


class UnknownScope(Invalid):
    """There is no such scope."""


class KillFileTampered(Tampered):
    """The local kill file does not verify; everything stays stopped."""
