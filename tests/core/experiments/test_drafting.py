"""A draft says what a configuration of one's own leaves out of what the experiment asks for."""

from __future__ import annotations

import pytest

from phoenix.experiments import drafting
from phoenix.experiments.request import ArmRequest, ExperimentRequest

OWN = """\
receivers: {host_metrics: {scrapers: {process: {mute_process_all_errors: true}}}}
processors:
  process_budget:
    critical:
      - {name: nginx}
exporters: {otlp_http: {endpoint: https://ingest.example}}
service:
  pipelines:
    metrics: {receivers: [host_metrics], processors: [process_budget], exporters: [otlp_http]}
"""


@pytest.mark.parametrize(
    ("critical", "missed"), [(["nginx", "etcd"], "name:etcd"), (["nginx"], "")]
)
def test_a_budget_that_does_not_put_the_critical_processes_first_is_noted(
    critical: list[str], missed: str
) -> None:
    request = ExperimentRequest(
        baseline=ArmRequest(pipeline="process-baseline-v1"),
        candidate=ArmRequest(config=OWN, file="own.yaml"),
        critical=critical,
    )
    notes = [n for n in drafting.draft(request, "exp-a1b2c3d4").notes if "misses-critical" in n]
    assert [missed in note and note.startswith("own.yaml:4: ") for note in notes] == (
        [True] if missed else []
    )
