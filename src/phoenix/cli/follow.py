"""Watching an experiment until it ends, through restarts of the API.

Two threads' worth of work in one: events come over a stream that may break; what they say is drawn
in place on a terminal, and as plain lines every few ticks anywhere else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from phoenix.base.errors import Unavailable
from phoenix.cli import output
from phoenix.cli.client import Client
from phoenix.cli.live import LiveState, PlainLines, live_view

_FINAL = {"completed", "failed", "cancelled"}
_RETRY_S = 1.0
_GIVE_UP_S = 120.0


def follow(client: Client, experiment_id: str) -> dict[str, Any]:
    """Draw the experiment until it is final; returns its last description.

    Raises:
        Unavailable: the API stayed away for two minutes; the experiment itself goes on.
    """
    states = changes(client, experiment_id)
    if output.WANTED.form != "table":
        return _last(states)
    if not output.interactive():
        lines = PlainLines()
        last: dict[str, Any] = {}
        for last in states:
            for line in lines.update(LiveState.from_api(last)):
                sys.stderr.write(line + "\n")
        return last
    with live_view(output.console()) as draw:
        last = {}
        for last in states:
            draw(LiveState.from_api(last))
        return last


def changes(client: Client, experiment_id: str) -> Iterator[dict[str, Any]]:
    """Every change of the experiment, over as many streams as it takes."""
    away_since: float | None = None
    while True:
        try:
            for event, data in client.events(f"/api/v1/experiments/{experiment_id}/events"):
                away_since = None
                if event == "experiment":
                    yield data
                    if data["state"] in _FINAL:
                        return
        except Unavailable:
            now = time.monotonic()
            away_since = away_since or now
            if now - away_since > _GIVE_UP_S:
                raise
            time.sleep(_RETRY_S)


def _last(states: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return list(states)[-1]
