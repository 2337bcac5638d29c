"""The agent: the hands of Phoenix on one host.

Level-triggered: it compares the shadows that should run, from rows, with those that do. It works on
through the loss of the database with what it last read; only candidates stop then, because nobody
can confirm that they may run. Everything it starts ends with it, by the kernel's doing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import structlog

from phoenix.base.clock import Clock
from phoenix.base.errors import PhoenixError
from phoenix.collectors import selfmetrics, store
from phoenix.collectors.member import Member, use_of
from phoenix.collectors.model import Sample, ShadowSpec, ShadowStatus
from phoenix.collectors.ports import LoadRunner, OwnProcesses, Watch
from phoenix.collectors.shadow import Shadow
from phoenix.host import proc
from phoenix.storage.database import Database

TEND_S = 0.2
ROWS_S = 0.5
SAMPLE_S = 1.0
# Samples kept while the database is away: about an hour of one shadow.
SAMPLES_MAX = 25_000

log = structlog.get_logger()

_Act = Callable[[], Awaitable[None]]


class Agent:
    """Runs the shadows of this host."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        watch: Watch,
        binary: Path,
        data_dir: Path,
        load: LoadRunner,
        own: OwnProcesses,
        meter_url: str | None = None,
    ) -> None:
        """`meter_url` is where the meter listens now; None takes the word of each shadow, which
        is as old as the shadow and may be from before a restart."""
        self._database = database
        self._clock = clock
        self._watch = watch
        self._binary = binary
        self._data_dir = data_dir
        self._load = load
        self._own = own
        self._meter_url = meter_url
        self._shadows: dict[str, Shadow] = {}
        self._broken: dict[str, str] = {}
        self._told: dict[str, ShadowStatus] = {}
        self._sampled: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        # One client for good, on loopback only: making one reads every certificate of the system,
        # which costs more than the collector that is asked.
        self._client = httpx.AsyncClient(trust_env=False, verify=False)  # noqa: S501

    async def run(self, stop: asyncio.Event) -> None:
        """Tend, read and sample until `stop` is set, then end everything."""
        try:
            await asyncio.gather(
                self._every(stop, TEND_S, self._tend),
                self._every(stop, ROWS_S, self._rows),
                self._every(stop, SAMPLE_S, self._sample),
            )
        finally:
            for shadow in self._shadows.values():
                shadow.end()
            await self._client.aclose()

    async def _every(self, stop: asyncio.Event, period_s: float, act: _Act) -> None:
        said = ""
        while not stop.is_set():
            try:
                await act()
                said = ""
            except PhoenixError as error:
                if error.message != said:
                    said = error.message
                    log.warning("working on without it", error=said)
            except Exception:  # the loop outlives every mistake, and tells it
                log.exception("a mistake of ours")
            try:
                await asyncio.wait_for(stop.wait(), period_s)
            except TimeoutError:
                continue

    async def _tend(self) -> None:
        permission = self._watch.may_run("experiments")
        for experiment_id, shadow in self._shadows.items():
            try:
                shadow.tend(self._clock.now(), permission)
            except (PhoenixError, OSError) as error:
                self._broken[experiment_id] = str(error)

    async def _rows(self) -> None:
        async with self._database.transaction() as tx:
            wanted = {spec.experiment_id: spec for spec in await store.wanted(tx)}
            unsettled = await store.unsettled(tx)
        for gone in {*self._shadows, *self._broken, *unsettled} - set(wanted):
            await self._end(gone)
        for experiment_id, spec in wanted.items():
            if experiment_id not in self._shadows:
                self._begin(spec)
            await self._tell(experiment_id, self._status(experiment_id))
        await self._flush()

    def _begin(self, spec: ShadowSpec) -> None:
        if self._meter_url is not None:
            spec = replace(spec, meter_url=self._meter_url)
        try:
            self._shadows[spec.experiment_id] = Shadow(
                spec, binary=self._binary, data_dir=self._data_dir, salt=salt(self._data_dir),
                load=self._load,
            )  # fmt: skip
        except OSError as error:  # a full disk, a folder of somebody else: told, and tried again
            self._broken[spec.experiment_id] = str(error)
        else:
            self._broken.pop(spec.experiment_id, None)

    async def _end(self, experiment_id: str) -> None:
        if experiment_id in self._shadows:
            self._shadows.pop(experiment_id).end()
        self._told.pop(experiment_id, None)
        self._broken.pop(experiment_id, None)
        self._sampled.pop(experiment_id, None)
        await self._tell(experiment_id, ShadowStatus(phase="stopped", members={}))

    def _status(self, experiment_id: str) -> ShadowStatus:
        shadow = self._shadows.get(experiment_id)
        status = shadow.status() if shadow else ShadowStatus(phase="failed", members={})
        if experiment_id in self._broken:
            return replace(status, phase="failed", last_error=self._broken[experiment_id])
        return status

    async def _tell(self, experiment_id: str, status: ShadowStatus) -> None:
        if self._told.get(experiment_id) == status:
            return
        async with self._database.transaction() as tx:
            await store.set_status(tx, experiment_id, status, self._clock.now())
        self._told[experiment_id] = status

    async def _sample(self) -> None:
        due = [(i, s) for i, s in self._shadows.items() if self._is_due(i, s)]
        if not due:
            return
        for experiment_id, shadow in due:
            for member in shadow.members.values():
                self._samples.append(await self._of(experiment_id, member))
            self._samples.extend(self._of_host(experiment_id))

    def _is_due(self, experiment_id: str, shadow: Shadow) -> bool:
        """Once an interval, and at once when a member changed: a pause must not be missed."""
        moment = self._clock.monotonic()
        states = tuple(member.state for member in shadow.members.values())
        then, before = self._sampled.get(experiment_id, (-1e9, ()))
        if states == before and moment - then < shadow.spec.interval_s - SAMPLE_S / 2:
            return False
        self._sampled[experiment_id] = (moment, states)
        return True

    async def _of(self, experiment_id: str, member: Member) -> Sample:
        cpu_s, rss_bytes = use_of(member.pid)
        said = None
        if member.state == "running":
            said = await selfmetrics.read(self._client, member.telemetry_port)
        return Sample(
            experiment_id=experiment_id,
            member=member.name,
            at=self._clock.now(),
            state=member.told_state(said.received_points if said else None),
            cpu_s=cpu_s,
            rss_bytes=rss_bytes,
            sent_points=said.sent_points if said else None,
            exporter_failed_points=said.exporter_failed_points if said else None,
            enqueue_failed_points=said.enqueue_failed_points if said else None,
            queue_size=said.queue_size if said else None,
            restarts=member.restarts,
        )

    def _of_host(self, experiment_id: str) -> list[Sample]:
        now = self._clock.now()
        pids: Mapping[str, int] = {**self._own(), "agent": os.getpid()}
        found = [
            Sample(
                experiment_id=experiment_id, member=name, at=now, state="running",
                cpu_s=proc.cpu_seconds(pid), rss_bytes=proc.rss_bytes(pid),
            )
            for name, pid in pids.items()
        ]  # fmt: skip
        host = proc.host_cpu()
        found.append(
            Sample(
                experiment_id=experiment_id, member="host", at=now, state="running",
                cpu_s=host.busy_s if host else None,
                rss_bytes=proc.host_memory_used_bytes(),
                total_cpu_s=host.total_s if host else None,
            )
        )  # fmt: skip
        return found

    async def _flush(self) -> None:
        if not self._samples:
            return
        waiting = list(self._samples)
        async with self._database.transaction() as tx:
            await store.insert_samples(tx, waiting)
        for _ in waiting:
            self._samples.popleft()


def salt(data_dir: Path) -> str:
    """The secret text that redacted command lines are hashed with: made once for this host.

    It is there whole or not at all: half of one, or none, would hide nothing.
    """
    path = data_dir / "redaction.salt"
    with suppress(FileNotFoundError):
        if kept := path.read_text(encoding="ascii"):
            return kept
        path.unlink()
    data_dir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(16))
        file.flush()
        os.fsync(handle)
    with suppress(FileExistsError):  # of two processes at once the first one's is kept
        os.link(temporary, path)
    temporary.unlink()
    return path.read_text(encoding="ascii")
