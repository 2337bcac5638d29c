"""The agent's load runner: the load domain behind the port that the runtime states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phoenix.load import profiles, service


class OwnLoad:
    """One load, owned by this process and ended with it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._handle: service.Handle | None = None
        self._ready = False

    def start(self, load: Mapping[str, Any]) -> None:
        """Begin to start the processes; from the main thread, which lives as long as we do."""
        plan = profiles.plan(load["profile"], seed=load["seed"], count=load.get("count"))
        self._handle = service.launch(plan, self._data_dir, tethered=True)
        self._ready = False

    def is_ready(self) -> bool:
        """Whether all of them run."""
        assert self._handle is not None, "started before it is asked for"
        self._ready = self._ready or service.is_ready(self._handle)
        return self._ready

    def stop(self) -> None:
        """End them."""
        if self._handle is not None:
            service.end(self._handle)
            self._handle = None
