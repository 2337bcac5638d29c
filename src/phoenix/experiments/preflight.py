"""Before anything starts: the real collector's `validate`, then a short run on this host.

The run is a shadow in small: the host's scrape goes through the baseline and through the candidate
into a meter in memory, and what arrives is compared. It ends by itself and leaves nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phoenix.base.canonical import sha256_hex
from phoenix.base.clock import SystemClock
from phoenix.base.ids import new_experiment_id
from phoenix.collectors import distribution
from phoenix.collectors.agent import salt
from phoenix.collectors.errors import CollectorMissing, CollectorNotStarted, ConfigurationRefused
from phoenix.collectors.model import ShadowSpec
from phoenix.collectors.shadow import Shadow
from phoenix.experiments import deployment, smoke
from phoenix.experiments.drafting import pipeline_of
from phoenix.experiments.model import DEMO, Arm, Spec
from phoenix.experiments.smoke import SmokeReport
from phoenix.host.ports import free_port
from phoenix.measurement.local import LocalMeter
from phoenix.measurement.model import Subscription, Tick
from phoenix.measurement.server import server
from phoenix.pipelines.model import CriticalRule, Pipeline
from phoenix.safety.model import Decision

INTERVAL_S = 1.0
TICKS_WANTED = 3
# The first ticks have no increments, and a cumulative sum begins in them.
TICKS_SKIPPED = 1
WITHIN_S = 30.0
VALIDATE_WITHIN_S = 30.0
BASELINE = "process-baseline-v1"
_ALLOWED = Decision(allowed=True, reason="a check on this host")
_PLACEHOLDERS = {
    "PHOENIX_OTLP_LISTEN": "127.0.0.1:4317",
    "PHOENIX_METER_ENDPOINT": "http://127.0.0.1:4318",
    "PHOENIX_METER_TOKEN": "none",
    "PHOENIX_BASELINE_ENDPOINT": "127.0.0.1:4317",
    "PHOENIX_CANDIDATE_ENDPOINT": "127.0.0.1:4317",
    "PHOENIX_TELEMETRY_PORT": "8888",
    "PHOENIX_REDACTION_SALT": "none",
    "OTLP_ENDPOINT": "http://127.0.0.1:4318",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the check of both arms says."""

    passed: bool
    sentence: str


def validate(text: str, *, file: str, data_dir: Path) -> None:
    """Let the collector judge a configuration without starting it.

    Raises:
        CollectorMissing: it is not built.
        ConfigurationRefused: with what the collector says.
    """
    with tempfile.TemporaryDirectory(prefix="phoenix-validate-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [str(collector(data_dir)), "validate", "--config", str(config)],
            env={"PATH": os.environ.get("PATH", ""), **_PLACEHOLDERS, **_given()},
            capture_output=True,
            text=True,
            timeout=VALIDATE_WITHIN_S,
            check=False,
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ConfigurationRefused(
            f"{file}: the collector refuses it: {' '.join(said)[-1500:]}",
            remedy="Correct what it names; `phoenix pipeline lint` may say more.",
        )


def collector(data_dir: Path) -> Path:
    """The built collector.

    Raises:
        CollectorMissing: it is not built.
    """
    found = distribution.find(data_dir)
    if found is None:
        raise CollectorMissing("The collector is not built.", remedy="Run: phoenix up")
    return found


async def check(
    pipeline: Pipeline,
    values: Mapping[str, Any],
    critical: Sequence[CriticalRule],
    *,
    data_dir: Path,
    imported: str | None = None,
) -> SmokeReport:
    """Validate one pipeline and try it beside the default scrape.

    Raises:
        CollectorMissing, ConfigurationRefused, CollectorNotStarted: it came to no comparison.
    """
    spec = DEMO.applied_to(
        name="check",
        baseline=Arm(pipeline=BASELINE),
        candidate=Arm(pipeline=pipeline.name, parameters=dict(values), imported=imported),
        critical=tuple(critical),
    )
    ticks = await trial(spec, data_dir)
    return smoke.examine(pipeline.name, ticks, conserves=pipeline.conserves_totals)


async def check_arms(spec: Spec, data_dir: Path) -> Report:
    """Validate both arms of an experiment and try them together."""
    ticks = await trial(spec, data_dir)
    candidate = pipeline_of(spec.candidate)
    reports = [
        smoke.examine(spec.baseline.pipeline, _mirrored(ticks), conserves=False),
        smoke.examine(candidate.name, ticks, conserves=candidate.conserves_totals),
    ]
    failed = [report.sentence for report in reports if not report.passed]
    return Report(
        passed=not failed,
        sentence="; ".join(failed) or "both configurations passed the check on this host",
    )


async def trial(
    spec: Spec, data_dir: Path, *, ticks: int = TICKS_WANTED, skip: int = TICKS_SKIPPED
) -> list[Tick]:
    """The closed ticks of a run of both arms on this host, one a second, without a server.

    Call it from the main thread: the collectors end with the thread that started them.

    Args:
        ticks: how many are wanted; fewer come back when the run takes too long.
        skip: how many to leave out at the start.

    Raises:
        CollectorMissing, ConfigurationRefused, CollectorNotStarted: it came to no comparison.
    """
    spec = replace(spec, interval_s=INTERVAL_S)
    rendered = deployment.arms(spec, data_dir)
    for role, revision in rendered.items():
        await asyncio.to_thread(validate, revision.config, file=role, data_dir=data_dir)
    experiment_id, token, port = new_experiment_id(), secrets.token_urlsafe(16), free_port()
    hashed = sha256_hex(token.encode())
    clock = SystemClock()
    meter = LocalMeter(
        Subscription(
            experiment_id=experiment_id,
            interval_s=INTERVAL_S,
            critical=spec.critical,
            shared_scrape=deployment.shares_scrape(spec),
            token_sha256={"baseline": hashed, "candidate": hashed},
            states={"baseline": "alive", "candidate": "alive"},
            created_at=clock.now(),
        ),
        clock,
    )
    listening = server(meter, host="127.0.0.1", port=port)
    serving = asyncio.create_task(listening._serve())
    shadow = Shadow(
        ShadowSpec(
            experiment_id=experiment_id,
            interval_s=INTERVAL_S,
            scraper=rendered["scraper"].config,
            arms={arm: rendered[arm].config for arm in ("baseline", "candidate")},
            meter_url=f"http://127.0.0.1:{port}",
            token_baseline=token,
            token_candidate=token,
            load=None,
            memory_limit_mib=deployment.MEMORY_LIMIT_MIB,
        ),
        binary=collector(data_dir),
        data_dir=data_dir,
        salt=salt(data_dir),
    )
    try:
        return await _collected(shadow, meter, clock, ticks, skip)
    finally:
        await asyncio.to_thread(shadow.end)
        listening.should_exit = True
        await serving


async def _collected(
    shadow: Shadow, meter: LocalMeter, clock: SystemClock, wanted: int, skip: int
) -> list[Tick]:
    ticks: list[Tick] = []
    deadline = clock.monotonic() + WITHIN_S + (wanted + skip) * INTERVAL_S
    while clock.monotonic() < deadline and len(ticks) < wanted + skip:
        shadow.tend(clock.now(), _ALLOWED)
        ticks += [t for t in meter.closed() if t.baseline is not None or t.candidate is not None]
        _refuse_when_broken(shadow)
        await asyncio.sleep(0.1)
    return ticks[skip : skip + wanted]


def _refuse_when_broken(shadow: Shadow) -> None:
    for name, member in shadow.members.items():
        if member.state == "failed":
            raise CollectorNotStarted(
                f"The collector of the {name} does not start: {member.last_error}",
                remedy="Its configuration passes `validate` and fails at start: a port in use or "
                "an extension that is not enabled are the usual reasons.",
            )


def _mirrored(ticks: Sequence[Tick]) -> list[Tick]:
    """The baseline against itself: it has to send something, and no identity twice."""
    return [replace(t, candidate=t.baseline, missing=()) for t in ticks]


def _given() -> dict[str, str]:
    return {name: os.environ[name] for name in _PLACEHOLDERS if name in os.environ}
