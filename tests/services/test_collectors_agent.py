"""The agent over a real PostgreSQL with real collectors: it starts, pauses and ends shadows.

The bounds of time asserted here are the stop rule's promise (a candidate ends within 5 s), not a
measure of speed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from phoenix.base.clock import SystemClock
from phoenix.base.errors import Unavailable
from phoenix.collectors.agent import Agent
from phoenix.collectors.model import ARMS, SCRAPER, ShadowSpec, ShadowStatus
from phoenix.collectors.service import CollectorsService
from phoenix.host import proc
from phoenix.host.ports import free_port
from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import parse
from phoenix.safety.service import SafetyService
from phoenix.safety.watch import SafetyWatch
from phoenix.storage.database import Database
from phoenix.testing.databases import TestServer
from phoenix.testing.sink import Sink

ROOT = Path(__file__).parents[2] / ".phoenix"
COLLECTOR = Path(  # of the real file: its folder is not the agent's
    os.environ.get("PHOENIX_COLLECTOR_BINARY") or ROOT / "collector" / "otelcol-phoenix"
).resolve()
LOAD = ROOT / "load" / "phoenix-load"
ID = "exp-agent001"
STOPS_WITHIN_S = 5.0
CLOCK = SystemClock()
MEMBERS = (SCRAPER, *ARMS)

pytestmark = [pytest.mark.collector, pytest.mark.database]


class NoLoad:
    """A load that is there at once, or cannot be started."""

    def __init__(self, error: Unavailable | None = None) -> None:
        self.error = error
        self.running = False

    def start(self, load: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.running = True

    def is_ready(self) -> bool:
        return self.running

    def stop(self) -> None:
        self.running = False


def spec(sink: Sink, **changes: Any) -> ShadowSpec:
    baseline = catalog.load("process-baseline-v1")
    arm = render.arm(baseline, None, (parse("nginx"),), 1).config
    return ShadowSpec(
        **{
            "experiment_id": ID,
            "interval_s": 1.0,
            "scraper": render.scraper(baseline, None, 1, list(ARMS), (), True).config,
            "arms": dict.fromkeys(ARMS, arm),
            "meter_url": sink.url,
            "token_baseline": "token-of-the-baseline",
            "token_candidate": "token-of-the-candidate",
            "load": None,
            "memory_limit_mib": 512,
            **changes,
        }
    )


class Host:
    """An agent in this process, with what a door and a person would use beside it."""

    def __init__(self, url: str, folder: Path, load: NoLoad) -> None:
        self.folder = folder
        self.load = load
        self.database = Database(url)
        self.safety = SafetyService(self.database, CLOCK, folder)
        self.collectors = CollectorsService(self.database, CLOCK)

    @asynccontextmanager
    async def at_work(self, meter_url: str | None = None) -> AsyncIterator[None]:
        """While the agent runs; afterwards it has ended everything."""
        stop = asyncio.Event()
        database = Database(self._url(), pool_max=4)
        await database.open()
        watch = SafetyWatch(SafetyService(database, CLOCK, self.folder), CLOCK)
        agent = Agent(
            database=database, clock=CLOCK, watch=watch, binary=COLLECTOR,
            data_dir=self.folder, load=self.load, own=dict,
            meter_url=meter_url,
        )  # fmt: skip
        work = asyncio.gather(watch.run(stop), agent.run(stop))
        try:
            yield
        finally:
            stop.set()
            await work
            await database.close()

    def _url(self) -> str:
        return str(self.database._pool.conninfo)

    async def want(self, wanted: ShadowSpec) -> None:
        async with self.database.transaction() as tx:
            await self.collectors.want(tx, wanted)

    async def stop(self) -> None:
        async with self.database.transaction() as tx:
            await self.collectors.stop(tx, ID)

    async def until_said(
        self, wanted: Callable[[ShadowStatus], bool], within_s: float = 30
    ) -> ShadowStatus:
        deadline = time.monotonic() + within_s
        status = None
        while time.monotonic() < deadline:
            status = await self.collectors.status(ID)
            if status is not None and wanted(status):
                return status
            await asyncio.sleep(0.1)
        raise AssertionError(f"still {status}")

    async def until_ready(self, beside: int | None = None) -> dict[str, int]:
        """Everything runs, the candidate as another process than `beside`."""
        status = await self.until_said(
            lambda said: said.phase == "ready" and said.members["candidate"].pid != beside
        )
        return {name: member.pid for name, member in status.members.items() if member.pid}


async def until(done: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def gone(pid: int, within_s: float = STOPS_WITHIN_S) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if proc.state(pid) in (None, "Z"):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture
def host(run: asyncio.Runner, fresh_database_url: str, data_dir: Path) -> Iterator[Host]:
    made = Host(fresh_database_url, data_dir, NoLoad())
    run.run(made.database.open())
    yield made
    run.run(made.database.close())


def test_what_is_wanted_runs_is_sampled_and_ends_when_no_longer_wanted(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        async with host.at_work():
            await host.want(spec(sink))
            pids = await host.until_ready()
            assert set(pids) == set(MEMBERS)
            await until(lambda: min(len(sink.scrapes(arm)) for arm in ARMS) >= 3)
            await asyncio.sleep(1)
            samples = await host.collectors.samples(ID)
            await host.stop()
            await host.until_said(lambda said: said.phase == "stopped")
            assert all([await gone(pid) for pid in pids.values()])
        by_member = {sample.member: sample for sample in samples}  # the latest of each
        for name in MEMBERS:
            assert by_member[name].state == "running"
            assert (by_member[name].cpu_s or 0) > 0
            assert (by_member[name].rss_bytes or 0) > 10 * 1024 * 1024
            assert (by_member[name].sent_points or 0) > 0
            assert by_member[name].exporter_failed_points == 0, "absent means none"
            assert by_member[name].enqueue_failed_points == 0
        assert 0 < (by_member["host"].cpu_s or 0) < (by_member["host"].total_cpu_s or 0)
        assert by_member["agent"].cpu_s is not None
        assert [s.id for s in samples] == sorted({s.id for s in samples})

    run.run(story())


def test_tokens_are_forgotten_once_a_shadow_is_stopped(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> str:
        await host.want(spec(sink))
        await host.stop()
        async with host.database.transaction() as tx:
            return repr(await tx.fetch_all("SELECT * FROM shadows"))

    said = run.run(story())
    assert ID in said
    assert "token-of-the" not in said


def test_a_kill_ends_the_candidate_alone_and_a_revive_brings_it_back(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        async with host.at_work():
            await host.want(spec(sink))
            pids = await host.until_ready()
            host.safety.kill(actor="somebody", reason="a test", scope="all")
            assert await gone(pids["candidate"])
            said = await host.until_said(lambda said: said.phase == "paused")
            assert said.members["candidate"].last_error == "paused: killed by somebody: a test"
            before = len(sink.scrapes("baseline"))
            await asyncio.sleep(2.5)
            assert len(sink.scrapes("baseline")) > before
            assert proc.state(pids["candidate"]) is None
            await until(lambda: host.safety.untold() is None)
            await host.safety.revive(actor="somebody", reason="the test goes on")
            again = await host.until_ready(beside=pids["candidate"])
            assert {n: again[n] for n in (SCRAPER, "baseline")} == {
                n: pids[n] for n in (SCRAPER, "baseline")
            }

    run.run(story())


def test_without_its_database_the_candidate_ends_the_rest_goes_on_and_samples_follow(
    run: asyncio.Runner, data_dir: Path, sink: Sink, tmp_path: Path
) -> None:
    async def story(server: TestServer, host: Host) -> None:
        await host.database.open()
        async with host.at_work():
            await host.want(spec(sink))
            pids = await host.until_ready()
            await host.database.close()
            lost_at = CLOCK.now()
            await asyncio.to_thread(server.server.stop)
            assert await gone(pids["candidate"])
            before = len(sink.scrapes("baseline"))
            await asyncio.sleep(3)
            for _ in range(60):  # a busy machine scrapes late, but it scrapes
                if len(sink.scrapes("baseline")) >= before + 2:
                    break
                await asyncio.sleep(0.25)
            assert len(sink.scrapes("baseline")) >= before + 2
            assert proc.state(pids["baseline"]) not in (None, "Z")
            back_at = CLOCK.now()
            server.server.start()  # from the main thread: it is a child of the thread's
            host.database = Database(server.server.url(_name(host)))
            host.collectors = CollectorsService(host.database, CLOCK)
            await host.database.open()
            again = await host.until_ready(beside=pids["candidate"])
            assert again["baseline"] == pids["baseline"]
            await asyncio.sleep(1.5)
            meanwhile = [
                s
                for s in await host.collectors.samples(ID)
                if s.member == "baseline" and lost_at < s.at < back_at
            ]
            assert len(meanwhile) >= 2, "measured while the database was away, written later"
        await host.database.close()

    def _name(host: Host) -> str:
        return host._url().rpartition("/")[2].partition("?")[0]

    server = TestServer(tmp_path / "pg")
    server.start()
    try:
        run.run(story(server, Host(server.fresh(), data_dir, NoLoad())))
    finally:
        server.stop()


def test_an_agent_that_starts_without_confirmation_runs_no_candidate(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        host.safety.kill(actor="somebody", reason="before the start", scope="experiments")
        await host.want(spec(sink))
        async with host.at_work():
            said = await host.until_said(lambda s: s.members["baseline"].state == "running"
                                         if s.members else False)  # fmt: skip
            assert said.members["candidate"].pid is None
            await host.until_said(lambda s: s.phase == "paused")
            assert sink.scrapes("candidate") == []

    run.run(story())


def test_a_meter_that_moved_with_a_restart_is_found(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        await host.want(spec(sink, meter_url=f"http://127.0.0.1:{free_port()}"))
        async with host.at_work(meter_url=sink.url):
            await until(lambda: min(len(sink.scrapes(arm)) for arm in ARMS) >= 1)

    run.run(story())


def test_a_load_that_cannot_be_started_fails_the_shadow_with_its_words(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        host.load.error = Unavailable("The load program is missing.", remedy="Build it.")
        async with host.at_work():
            await host.want(spec(sink, load={"profile": "realistic", "seed": 1}))
            said = await host.until_said(lambda s: s.phase == "failed")
            assert said.last_error == "The load program is missing. Build it."
            assert all(member.pid is None for member in said.members.values())

    run.run(story())


def test_a_folder_that_cannot_be_written_fails_the_shadow_and_not_the_agent(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        host.folder.mkdir(parents=True, exist_ok=True)
        (host.folder / "run").write_text("a file where a folder should be")
        async with host.at_work():
            await host.want(spec(sink))
            said = await host.until_said(lambda s: s.phase == "failed")
            assert "Not a directory" in (said.last_error or "")
            (host.folder / "run").unlink()
            await host.stop()
            await host.until_said(lambda s: s.phase == "stopped")

    run.run(story())


def test_a_shadow_stopped_while_no_agent_ran_is_said_to_be_stopped_by_the_next_one(
    run: asyncio.Runner, host: Host, sink: Sink
) -> None:
    async def story() -> None:
        await host.want(spec(sink))
        async with host.at_work():
            await host.until_ready()
        assert (await host.until_said(lambda _: True)).phase == "ready", "its last word"
        await host.stop()
        async with host.at_work():
            await host.until_said(lambda said: said.phase == "stopped")

    run.run(story())


@pytest.mark.parametrize("load", [None, {"profile": "realistic", "seed": 1, "count": 50}])
def test_a_killed_agent_leaves_no_collector_and_no_load(
    run: asyncio.Runner, host: Host, sink: Sink, load: Mapping[str, Any] | None
) -> None:
    async def story(agent: subprocess.Popen[bytes]) -> None:
        await host.want(spec(sink, load=load))
        pids = await host.until_ready()
        family = [*pids.values(), *descendants(agent.pid)]
        assert len(set(family)) >= (50 if load else len(MEMBERS))
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        deadline = time.monotonic() + STOPS_WITHIN_S
        for pid in family:
            assert await gone(pid, max(0.1, deadline - time.monotonic())), proc.command_line(pid)

    for name, at in (("collector", COLLECTOR), ("load", LOAD)):
        (host.folder / name).mkdir(parents=True)
        (host.folder / name / at.name).symlink_to(at.resolve())
    agent = subprocess.Popen(
        [sys.executable, "-m", "phoenix", "serve", "agent"],
        env={
            **os.environ,
            "DATABASE_URL": host._url(),
            "PHOENIX_DATA_DIR": str(host.folder),
            "PHOENIX_METER_PORT": sink.url.rpartition(":")[2],
        },
    )
    try:
        run.run(story(agent))
    finally:
        agent.kill()
        agent.wait()


def descendants(ancestor: int) -> list[int]:
    """The process numbers of its children, and theirs."""
    parents = {pid: proc.parent(pid) for pid in proc.pids()}
    found = [ancestor]
    for one in found:
        found.extend(pid for pid, parent in parents.items() if parent == one)
    return found[1:]
