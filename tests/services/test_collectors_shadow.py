"""One arm of a shadow stalls, dies or refuses; the other arm and the scraper do not lose a point.

Real collectors, as the agent runs them: one scraper, a collector for each arm, each arm behind a
queue of its own. The faults are those that stall a neighbour inside one collector process: an
endpoint that is down, with a full queue, with a queue that blocks, or with none; a transformation
that fails while it runs; and a process that stops answering or is gone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from phoenix.base.clock import SystemClock
from phoenix.collectors.member import Member
from phoenix.collectors.model import SCRAPER, ShadowSpec
from phoenix.collectors.shadow import Shadow
from phoenix.host import proc
from phoenix.host.ports import free_port
from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import parse
from phoenix.safety.model import Decision
from phoenix.testing.sink import Sink

COLLECTOR = Path(
    os.environ.get("PHOENIX_COLLECTOR_BINARY")
    or Path(__file__).parents[2] / ".phoenix" / "collector" / "otelcol-phoenix"
)
ID = "exp-shadow01"
INTERVAL_S = 0.5
CLOCK = SystemClock()
FAULT_S = 5.0
MAY = Decision(allowed=True, reason="confirmed")
NOT = Decision(allowed=False, reason="killed by somebody: a test")
NEVER_RIGHT = """\
  transform/never_right:
    error_mode: propagate
    metric_statements:
      - 'set(datapoint.attributes["x"], ParseJSON("no JSON"))'
"""

pytestmark = pytest.mark.collector


@dataclass
class Host:
    """One shadow, tended the way the agent does it."""

    sink: Sink
    folder: Path
    shadow: Shadow | None = None

    def start(
        self,
        *,
        candidate: Callable[[str], str] = lambda text: text,
        scraper_queue: int = 60,
        meter_url: str | None = None,
    ) -> None:
        baseline = catalog.load("process-baseline-v1")
        critical = (parse("nginx"),)
        arm = render.arm(baseline, None, critical, INTERVAL_S).config
        scraper = render.scraper(baseline, None, INTERVAL_S, ["baseline", "candidate"], (), True)
        wanted = candidate(arm)
        if meter_url is not None:
            wanted = wanted.replace("${env:PHOENIX_METER_ENDPOINT}", meter_url)
        self.shadow = Shadow(
            ShadowSpec(
                experiment_id=ID,
                interval_s=INTERVAL_S,
                scraper=scraper.config.replace("queue_size: 60", f"queue_size: {scraper_queue}"),
                arms={"baseline": arm, "candidate": wanted},
                meter_url=self.sink.url,
                token_baseline="token-of-the-baseline",
                token_candidate="token-of-the-candidate",
                load=None,
                memory_limit_mib=512,
            ),
            binary=COLLECTOR.resolve(),
            data_dir=self.folder,
            salt="0badc0de",
        )

    def member(self, name: str) -> Member:
        assert self.shadow is not None
        return self.shadow.members[name]

    def tend(self, seconds: float, candidate: Decision = MAY) -> None:
        assert self.shadow is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.shadow.tend(CLOCK.now(), candidate)
            time.sleep(0.1)

    def tend_until(
        self, done: Callable[[], bool], candidate: Decision = MAY, within_s: float = 30
    ) -> None:
        until = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < until, self.words()
            self.tend(0.1, candidate)

    def running(self, *names: str) -> bool:
        return all(self.member(name).state == "running" for name in names)

    def counted(self, name: str, metric: str, exporter: str) -> int:
        """A counter of an exporter of a member; what never happened is absent and is zero."""
        port = self.member(name).telemetry_port
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, trust_env=False).text
        return int(
            sum(
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name.removesuffix("_total") == f"otelcol_exporter_{metric}"
                and sample.labels.get("exporter") == exporter
            )
        )

    def words(self) -> str:
        logs = sorted((self.folder / "logs").rglob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in logs)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Sink() as sink:
        made = Host(sink=sink, folder=tmp_path / "data")
        yield made
        if made.shadow is not None:
            made.shadow.end()


def assert_baseline_lost_nothing(host: Host, fault_s: float = FAULT_S) -> None:
    """Every scrape that was made is in the baseline's hands, once, with every point."""
    for counter in ("enqueue_failed_metric_points", "send_failed_metric_points"):
        assert host.counted(SCRAPER, counter, "otlp_http/baseline") == 0
        assert host.counted("baseline", counter, "otlp_http/meter") == 0
    assert host.member(SCRAPER).restarts == host.member("baseline").restarts == 0
    host.member(SCRAPER).end("stopped")  # it hands over what it still holds, then the arm does
    time.sleep(2 * INTERVAL_S)
    came = host.sink.scrapes("baseline")
    times = [scrape.at_ns / 1e9 for scrape in came]
    assert times == sorted(set(times)), "in order, none twice"
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < 1.5 * INTERVAL_S, f"a scrape is missing: {gaps}"
    assert len(came) >= fault_s / INTERVAL_S
    assert min(scrape.points for scrape in came) > 0


def in_step(host: Host) -> None:
    host.tend_until(lambda: len(host.sink.scrapes("baseline")) >= 2)


def with_candidate_in_step(host: Host) -> None:
    host.tend_until(
        lambda: all(len(host.sink.scrapes(arm)) >= 2 for arm in ("baseline", "candidate"))
    )


def refused_by_the_candidates_queue(host: Host) -> int:
    return host.counted(SCRAPER, "enqueue_failed_metric_points", "otlp_http/candidate")


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def no_queue(text: str) -> str:
    return text.replace(
        "      enabled: true\n      num_consumers", "      enabled: false\n      num_consumers"
    )


def test_without_a_fault_both_arms_get_the_same_scrapes(host: Host) -> None:
    host.start()
    with_candidate_in_step(host)
    host.tend(2)
    assert_baseline_lost_nothing(host, fault_s=2)
    assert host.sink.scrapes("candidate") == host.sink.scrapes("baseline")


def test_a_stalled_candidate_costs_the_baseline_nothing_and_catches_up(host: Host) -> None:
    host.start()
    with_candidate_in_step(host)
    pid = host.member("candidate").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    before = len(host.sink.scrapes("candidate"))
    host.tend(FAULT_S)
    assert len(host.sink.scrapes("candidate")) <= before + 1
    assert len(host.sink.scrapes("baseline")) >= before + FAULT_S / INTERVAL_S - 2
    os.kill(pid, signal.SIGCONT)
    host.tend(4)
    assert_baseline_lost_nothing(host)
    came = host.sink.scrapes("candidate")
    assert set(came) == set(host.sink.scrapes("baseline")), "the queue kept them"
    # The request in flight timed out and was repeated, so its scrape may come twice: to the
    # candidate only, where the meter counts it as a duplicate.
    assert len(came) <= len(set(came)) + 1


def test_a_stalled_candidate_whose_queue_is_full_costs_the_baseline_nothing(host: Host) -> None:
    host.start(scraper_queue=2)
    with_candidate_in_step(host)
    pid = host.member("candidate").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    host.tend(FAULT_S)
    assert refused_by_the_candidates_queue(host) > 0
    assert_baseline_lost_nothing(host)


def test_a_killed_candidate_costs_the_baseline_nothing_and_comes_back(host: Host) -> None:
    host.start()
    with_candidate_in_step(host)
    pid = host.member("candidate").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    host.tend_until(lambda: host.member("candidate").restarts == 1)
    host.tend(FAULT_S)
    assert host.running("candidate")
    assert host.member("candidate").pid != pid
    assert "SIGKILL" in (host.member("candidate").last_error or "")
    assert_baseline_lost_nothing(host)


@pytest.mark.parametrize("manner", ["refuses", "is slow"])
def test_a_candidate_with_a_bad_receiver_costs_the_baseline_nothing(
    host: Host, manner: str
) -> None:
    host.sink.manner["candidate"] = "refuses" if manner == "refuses" else "is slow"
    host.start(scraper_queue=2)
    in_step(host)
    host.tend(FAULT_S)
    assert_baseline_lost_nothing(host)
    assert len(host.sink.scrapes("candidate")) < len(host.sink.scrapes("baseline"))


def test_a_candidate_that_fails_while_it_runs_costs_the_baseline_nothing(host: Host) -> None:
    def failing(text: str) -> str:
        text = text.replace("processors:\n", f"processors:\n{NEVER_RIGHT}", 1)
        return text.replace("        - memory_limiter\n", "        - memory_limiter\n"
                            "        - transform/never_right\n")  # fmt: skip

    host.start(candidate=failing, scraper_queue=2)
    in_step(host)
    host.tend(FAULT_S)
    assert host.running("candidate"), "alive, and exporting nothing"
    assert_baseline_lost_nothing(host)
    assert host.sink.scrapes("candidate") == []
    assert "never_right" in host.words() or "ParseJSON" in host.words()


def test_a_candidate_whose_endpoint_is_down_and_queue_is_full_costs_the_baseline_nothing(
    host: Host,
) -> None:
    host.start(
        candidate=lambda text: text.replace("queue_size: 60", "queue_size: 2"),
        scraper_queue=2,
        meter_url=nowhere(),
    )
    in_step(host)
    host.tend(FAULT_S)
    assert host.counted("candidate", "enqueue_failed_metric_points", "otlp_http/meter") > 0
    assert_baseline_lost_nothing(host)


def test_a_candidate_whose_full_queue_blocks_costs_the_baseline_nothing(host: Host) -> None:
    host.start(
        candidate=lambda text: text.replace("queue_size: 60", "queue_size: 2").replace(
            "block_on_overflow: false", "block_on_overflow: true"
        ),
        scraper_queue=2,
        meter_url=nowhere(),
    )
    in_step(host)
    host.tend(FAULT_S)
    assert refused_by_the_candidates_queue(host) > 0, "it blocks as far as the scraper's queue"
    assert_baseline_lost_nothing(host)


def test_a_candidate_without_a_queue_costs_the_baseline_nothing(host: Host) -> None:
    host.start(candidate=no_queue, scraper_queue=2, meter_url=nowhere())
    assert host.shadow is not None
    assert "enabled: false" in host.shadow.spec.arms["candidate"]
    in_step(host)
    host.tend(FAULT_S)
    assert refused_by_the_candidates_queue(host) > 0, "its receiver waits for the endpoint"
    assert_baseline_lost_nothing(host)


def test_a_candidate_without_permission_does_not_run_and_the_baseline_does(host: Host) -> None:
    host.start()
    host.tend_until(lambda: len(host.sink.scrapes("baseline")) >= 2, candidate=NOT)
    assert host.member("candidate").pid is None
    assert host.shadow is not None
    assert host.shadow.status().phase == "paused"
    assert host.shadow.status().members["candidate"].last_error == f"paused: {NOT.reason}"
    host.tend_until(lambda: len(host.sink.scrapes("candidate")) >= 2, candidate=MAY)
    pid = host.member("candidate").pid
    assert pid is not None
    host.tend(0.3, candidate=NOT)
    assert host.member("candidate").pid is None
    assert proc.state(pid) is None
    assert_baseline_lost_nothing(host, fault_s=1)


def test_a_candidate_that_ignores_the_end_is_killed(host: Host) -> None:
    """A stopped process does not see SIGTERM; a blocked exporter takes minutes to see to it."""
    host.start(candidate=no_queue, scraper_queue=2, meter_url=nowhere())
    in_step(host)
    host.tend(1)
    pid = host.member("candidate").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    host.member("candidate").end("paused")
    assert time.monotonic() - begin < 2.5, "a promise of the stop rule, not a measure of speed"
    assert proc.state(pid) is None


def test_a_collector_that_cannot_start_says_why_and_fails_after_some_tries(host: Host) -> None:
    host.start(candidate=lambda text: text.replace("otlp:", "no_such_receiver:", 1))
    host.tend_until(lambda: host.member("candidate").state == "failed", within_s=40)
    status = host.member("candidate").status()
    assert status.restarts == 4
    assert "no_such_receiver" in (status.last_error or "")
    assert host.shadow is not None
    assert host.shadow.status().phase == "failed"
    host.tend_until(lambda: host.running("baseline", SCRAPER))  # its failure is its own
    in_step(host)


def test_no_token_is_in_a_file_a_log_or_a_command_line(host: Host) -> None:
    host.start()
    with_candidate_in_step(host)
    pids = [host.member(name).pid for name in (SCRAPER, "baseline", "candidate")]
    commands = [proc.command_line(pid) for pid in pids if pid is not None]
    assert len(commands) == 3
    assert "token-of" not in repr(commands)
    assert host.shadow is not None
    assert "token-of" not in repr(host.shadow.spec)
    assert "token-of" not in repr(host.shadow.members)
    host.shadow.end()
    files = [path for path in host.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"scraper.log", "baseline.log", "candidate.log"}
    assert all(b"token-of" not in path.read_bytes() for path in files)
