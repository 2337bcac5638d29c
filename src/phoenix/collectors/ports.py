"""What the runtime needs from outside, in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Permission(Protocol):
    """Whether a candidate may run now, and why not."""

    @property
    def allowed(self) -> bool: ...

    @property
    def reason(self) -> str: ...


class Watch(Protocol):
    """The kill plane's eye of this process."""

    def may_run(self, scope: str = "experiments") -> Permission:
        """Asked several times a second; answers at once."""
        ...


class LoadRunner(Protocol):
    """Starts the processes an experiment brings along."""

    def start(self, load: Mapping[str, Any]) -> None:
        """Begin to start them; they end with this process.

        Raises:
            PhoenixError: they cannot be started.
        """
        ...

    def is_ready(self) -> bool:
        """Whether all of them run."""
        ...

    def stop(self) -> None:
        """End them."""
        ...


class OwnProcesses(Protocol):
    """The other parts of Phoenix on this host, whose use is reported as the measurement's cost."""

    def __call__(self) -> Mapping[str, int]:
        """Process numbers by name."""
        ...
