"""A load is real: the kernel shows its names, and nobody stays when it ends, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phoenix.collectors import distribution
from phoenix.collectors.toolchain import find_go
from phoenix.host import proc
from phoenix.load import service
from phoenix.load.errors import (
    AlreadyRunning,
    LoadNotRunning,
    LoadNotStarted,
    LoadProgramMissing,
)
from phoenix.load.files import Files
from phoenix.load.model import Birth, Plan, ProcessPlan, Program
from phoenix.load.profiles import plan

OWNER = """
import sys, time
from pathlib import Path
from phoenix.load import service
from phoenix.load.profiles import plan
service.start_tethered(plan("realistic", 1, 60), Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load program, built from the present sources (it needs nothing but Go)."""
    target = tmp_path_factory.mktemp("program") / "phoenix-load"
    subprocess.run(
        [find_go().path, "build", "-mod=readonly", "-o", target, "./cmd/phoenix-load"],
        cwd=distribution.sources_dir(),
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        check=True,
    )
    return target


@pytest.fixture
def data_dir(tmp_path: Path, program: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    (folder / "load").mkdir(parents=True)
    (folder / "load" / "phoenix-load").symlink_to(program)
    yield folder
    if service.running(folder) is not None:
        service.stop(folder)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return holds()


def ours(data_dir: Path) -> list[int]:
    """Every process that runs from the data folder's links, whoever its parent is."""
    folder = f"{Files(data_dir).bin_dir}/"
    return [pid for pid in proc.pids() if (proc.executable(pid) or "").startswith(folder)]


def test_every_process_of_the_plan_runs_under_its_name_with_its_command_line(
    data_dir: Path,
) -> None:
    wanted = plan("realistic", 2, 80)
    load = service.start_detached(wanted, data_dir)
    shown = service.list_running(data_dir)
    assert sorted((each.name, each.command_line) for each in shown) == sorted(
        (each.name, each.argv) for each in wanted.processes
    )
    assert {proc.name(each.pid) for each in shown} == {each.name[:15] for each in wanted.processes}
    assert service.running(data_dir) == load
    assert (load.profile, load.seed, load.count, load.tethered) == ("realistic", 2, 80, False)


def test_a_birth_becomes_another_program_with_the_same_pid_and_ends_with_its_life(
    data_dir: Path,
) -> None:
    shell = ProcessPlan(name="sh", argv=("/bin/sh", "batch-{birth}"), rss_bytes=1_000_000)
    later = Program(after_s=1.5, name="rsync", argv=("rsync", "-a", "{birth}"))
    birth = Birth(at_s=0.0, lifetime_s=4.0, process=shell, becomes=later)
    load = Plan(profile="test", seed=1, processes=(), births=(birth,), cycle_s=600.0)
    service.start_detached(load, data_dir)
    assert within(5, lambda: len(service.list_running(data_dir)) == 1)
    (before,) = service.list_running(data_dir)
    assert (before.name, before.command_line) == ("sh", ("/bin/sh", "batch-1"))
    assert within(5, lambda: [r.name for r in service.list_running(data_dir)] == ["rsync"])
    (after,) = service.list_running(data_dir)
    assert (after.pid, after.command_line) == (before.pid, ("rsync", "-a", "1"))
    assert within(8, lambda: service.list_running(data_dir) == [])


def test_stop_leaves_no_process_and_no_file_but_the_program_and_the_log(data_dir: Path) -> None:
    service.start_detached(plan("realistic", 1, 50), data_dir)
    service.stop(data_dir)
    assert ours(data_dir) == []
    assert service.list_running(data_dir) == []
    left = {path.name for path in (data_dir / "load").iterdir()}
    assert left == {"phoenix-load", "supervisor.log", "lock"}


def test_a_stopped_supervisor_is_killed_with_all_of_its_processes(data_dir: Path) -> None:
    load = service.start_detached(plan("realistic", 1, 50), data_dir)
    os.kill(load.pid, signal.SIGSTOP)
    service.stop(data_dir)
    assert ours(data_dir) == []


def test_nobody_survives_sigkill_of_the_supervisor_by_5_s(data_dir: Path) -> None:
    load = service.start_detached(plan("realistic", 1, 120), data_dir)
    assert len(ours(data_dir)) == 120
    os.kill(load.pid, signal.SIGKILL)
    assert within(5, lambda: ours(data_dir) == [])
    assert service.running(data_dir) is None


def test_nobody_survives_sigkill_of_the_owner_of_a_tethered_load_by_5_s(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        assert len(ours(data_dir)) == 60
        owner.kill()
    assert within(5, lambda: ours(data_dir) == [] and service.running(data_dir) is None)


def test_a_second_load_is_refused_while_one_runs(data_dir: Path) -> None:
    service.start_detached(plan("realistic", 1, 50), data_dir)
    with pytest.raises(AlreadyRunning, match="realistic load of 50"):
        service.start_detached(plan("high-churn"), data_dir)
    assert len(ours(data_dir)) == 50


def test_churning_processes_are_born_end_and_leave_no_zombie(data_dir: Path) -> None:
    brief = ProcessPlan(name="sh", argv=("sh", "-c", "job {birth}"))
    births = tuple(Birth(at_s=n / 100, lifetime_s=0.3, process=brief) for n in range(100))
    stays = ProcessPlan(name="nginx", argv=("nginx: master process",))
    churn = Plan(profile="test", seed=1, processes=(stays,), births=births, cycle_s=1.0)
    load = service.start_detached(churn, data_dir)
    seen: set[tuple[str, ...]] = set()

    def enough() -> bool:
        seen.update(each.command_line for each in service.list_running(data_dir))
        status = service.status(data_dir)
        return status is not None and status.ended > 150 and len(seen) > 100

    assert within(30, enough)
    zombies = [
        pid for pid in proc.pids() if proc.parent(pid) == load.pid and proc.state(pid) == "Z"
    ]
    assert len(zombies) < 3  # at most those that ended this very moment
    assert ("nginx: master process",) in seen


def test_two_thousand_processes_take_less_than_2_gib_together(data_dir: Path) -> None:
    load = service.start_detached(plan("high-cardinality", 1, 2_000), data_dir)
    shown = service.list_running(data_dir)
    assert len(shown) == 2_000
    sizes = [proc.pss_bytes(pid) for pid in [load.pid, *(each.pid for each in shown)]]
    assert sum(size for size in sizes if size is not None) < 2 << 30


def test_costs_are_really_paid(data_dir: Path) -> None:
    busy = ProcessPlan(name="java", argv=("java",), cpu_share=0.2, rss_bytes=30_000_000)
    idle = ProcessPlan(name="sleep", argv=("sleep", "infinity"))
    costly = Plan(profile="test", seed=1, processes=(busy, idle))
    service.start_detached(costly, data_dir)

    def worked() -> bool:
        cost = {each.name: each for each in service.list_running(data_dir)}
        return cost["java"].cpu_s > 0.3 and cost["java"].rss_bytes > 30_000_000

    assert within(30, worked)
    cost = {each.name: each for each in service.list_running(data_dir)}
    assert cost["sleep"].cpu_s < 0.1
    assert cost["sleep"].rss_bytes < 10_000_000


def test_a_load_that_the_host_cannot_start_whole_is_not_left_in_part(data_dir: Path) -> None:
    good = ProcessPlan(name="sh", argv=("sh",))
    bad = ProcessPlan(name="sh", argv=("x" * 200_000,))  # longer than execve(2) takes
    with pytest.raises(LoadNotStarted, match="started 2 of 3 processes: sh: argument list too"):
        service.start_detached(Plan(profile="test", seed=1, processes=(good, bad, good)), data_dir)
    assert ours(data_dir) == []
    assert service.running(data_dir) is None


def test_what_the_load_program_refuses_is_passed_on(data_dir: Path) -> None:
    bad = ProcessPlan(name="a/b", argv=("sh",))
    with pytest.raises(LoadNotStarted, match="is not the name of a file"):
        service.start_detached(Plan(profile="test", seed=1, processes=(bad,)), data_dir)


def test_without_the_program_the_refusal_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(LoadProgramMissing) as refused:
        service.start_detached(plan("realistic"), tmp_path)
    assert "scripts/build.py" in (refused.value.remedy or "")


def test_a_reused_pid_is_not_taken_for_the_supervisor(data_dir: Path) -> None:
    service.start_detached(plan("realistic", 1, 50), data_dir)
    files = Files(data_dir)
    stale = files.state.read_text()
    service.stop(data_dir)
    fields = {**json.loads(stale), "pid": os.getpid()}
    files.state.write_text(json.dumps(fields))
    assert service.running(data_dir) is None
    with pytest.raises(LoadNotRunning):
        service.stop(data_dir)
