"""What a collector says about itself on its telemetry port, reduced to what a sample holds.

Names come with and without `_total`, depending on how telemetry is configured; what never happened
is absent and counts as zero once the collector answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

_RECEIVED = "otelcol_receiver_accepted_metric_points"
_SENT = "otelcol_exporter_sent_metric_points"
_FAILED = "otelcol_exporter_send_failed_metric_points"
_REFUSED = "otelcol_exporter_enqueue_failed_metric_points"
_QUEUE = "otelcol_exporter_queue_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfMetrics:
    """Sums over the collector's exporters since its start."""

    received_points: int
    sent_points: int
    exporter_failed_points: int
    enqueue_failed_points: int
    queue_size: int


async def read(client: httpx.AsyncClient, port: int) -> SelfMetrics | None:
    """Ask one collector; None when it does not answer."""
    try:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", timeout=0.5)
    except httpx.HTTPError:
        return None
    return parse(answer.text) if answer.status_code == httpx.codes.OK else None


def parse(text: str) -> SelfMetrics:
    """Sum what the exporters count."""
    sums = dict.fromkeys((_RECEIVED, _SENT, _FAILED, _REFUSED, _QUEUE), 0.0)
    wanted = "\n".join(line for line in text.splitlines() if line.startswith((*sums, "# T")))
    for family in text_string_to_metric_families(wanted + "\n"):
        for sample in family.samples:
            name = sample.name.removesuffix("_total")
            if name in sums:
                sums[name] += sample.value
    return SelfMetrics(
        received_points=int(sums[_RECEIVED]),
        sent_points=int(sums[_SENT]),
        exporter_failed_points=int(sums[_FAILED]),
        enqueue_failed_points=int(sums[_REFUSED]),
        queue_size=int(sums[_QUEUE]),
    )
