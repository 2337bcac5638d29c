"""What the lint's reference says about the collector is what the real collector does."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from phoenix.pipelines import components, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.importer import import_config

ROOT = Path(__file__).parents[2]
COLLECTOR = Path(
    os.environ.get("PHOENIX_COLLECTOR_BINARY")
    or ROOT / ".phoenix" / "collector" / "otelcol-phoenix"
)
CORPUS = sorted((ROOT / "tests" / "core" / "pipelines" / "corpus").glob("*.yaml"))
PAGE = (ROOT / "docs" / "reference" / "lint.md").read_text()
REFUSED = set(re.findall(r"^\| `([a-z-]+)` \| \w+ \| refuses \|", PAGE, re.MULTILINE))

pytestmark = pytest.mark.collector


@pytest.mark.parametrize("file", CORPUS, ids=lambda f: f.stem)
def test_the_collector_refuses_what_the_reference_says_it_refuses(file: Path) -> None:
    found = re.findall(r"# expect: ([a-z -]+)$", file.read_text(), re.MULTILINE)
    rules = {rule for line in found for rule in line.split()}
    done = subprocess.run(
        [COLLECTOR, "validate", "--config", file], capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) is bool(rules & REFUSED), done.stderr


def test_the_table_of_components_is_that_of_the_built_collector() -> None:
    done = subprocess.run([COLLECTOR, "components"], capture_output=True, text=True, check=True)
    table = components.table_from(done.stdout)
    assert table["collector"] == components.version()
    for kind in components.KINDS:
        assert table[kind] == components.known(kind)


IMPORTED = """\
receivers:
  hostmetrics:
    collection_interval: 30s
    scrapers: {cpu: {}, process: {mute_process_all_errors: true}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 200}
  batch: {}
  cumulativetodelta: {max_staleness: 5m}
  resource/team: {attributes: [{key: team, value: a, action: upsert}]}
exporters:
  otlphttp: {endpoint: https://ingest.example}
  debug: {}
service:
  pipelines:
    metrics/a:
      receivers: [hostmetrics]
      processors: [memory_limiter, resource/team, batch]
      exporters: [otlphttp]
    metrics/b:
      receivers: [hostmetrics]
      processors: [memory_limiter, cumulativetodelta]
      exporters: [debug]
"""


@pytest.mark.parametrize("place", ["arm", "scraper", "production"])
def test_an_imported_configuration_renders_to_what_the_collector_takes(
    place: str, tmp_path: Path
) -> None:
    pipeline = import_config(IMPORTED, "theirs.yaml").pipeline
    revision = {
        "arm": lambda: render.arm(pipeline, {}, DEFAULT_CRITICAL, 1),
        "scraper": lambda: render.scraper(pipeline, {}, 1, ["baseline"], [], True),
        "production": lambda: render.production(pipeline, {}, DEFAULT_CRITICAL, 30),
    }[place]()
    file = tmp_path / "rendered.yaml"
    file.write_text(revision.config)
    settings = dict.fromkeys(render.ENVIRONMENT, "127.0.0.1:1")
    settings |= {"PHOENIX_TELEMETRY_PORT": "1", "OTLP_ENDPOINT": "http://127.0.0.1:1"}
    settings |= {"PHOENIX_METER_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [COLLECTOR, "validate", "--config", file],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
