"""What the experiments domain refuses."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Invalid, NotFound, Tampered


class SpecInvalid(Invalid):
    """The specification of the experiment contradicts itself or is out of bounds."""


class ExperimentNotFound(NotFound):
    """There is no such experiment."""


class TransitionRefused(Conflict):
    """An experiment in this state cannot do that."""


class EvidenceTampered(Tampered):
    """The stored evidence cannot be what this experiment measured."""
