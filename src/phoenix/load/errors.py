"""What can be refused about a load."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Invalid, NotFound, Unavailable


class UnknownProfile(NotFound):
    """There is no such load profile."""


class CountOutOfRange(Invalid):
    """The profile cannot have that many processes."""


class SeedOutOfRange(Invalid):
    """A seed is a whole number from 0 to 2**64 - 1."""


class BadProcess(Invalid):
    """That process cannot be started on any host."""


class LoadProgramMissing(Unavailable):
    """The program that runs the load is not built yet."""


class AlreadyRunning(Conflict):
    """A load is running already."""


class LoadNotRunning(NotFound):
    """No load is running."""


class LoadNotStarted(Unavailable):
    """The host did not start the whole load, so none of it was left running."""
