"""What each role does. A role reads its settings, builds its services, and runs until it is told to
end; nothing else of it lives here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from phoenix.base.clock import SystemClock
from phoenix.base.errors import NotFound, Unavailable
from phoenix.host.ports import listen
from phoenix.settings import LOOPBACK, Settings, load
from phoenix.telemetry import logs

if TYPE_CHECKING:
    import uvicorn

log = structlog.get_logger()


def run(role: str) -> int:
    """Run a role in the foreground; returns its exit code.

    Raises:
        NotFound: there is no such role.
    """
    roles: dict[str, Callable[[], int]] = {
        "supervisor": _supervisor,
        "api": lambda: _until_told("api", _api),
        "controller": lambda: _until_told("controller", _controller),
        "meter": lambda: _until_told("meter", _meter),
        "agent": lambda: _until_told("agent", _agent),
        "ledger": lambda: _until_told("ledger", _ledger),
        "signer": _signer,
    }
    if role not in roles:
        raise NotFound(f"There is no role '{role}'.", remedy=f"Use one of: {', '.join(roles)}.")
    return roles[role]()


def _supervisor() -> int:
    from phoenix.processes.supervisor import Supervisor

    settings = load(choose_ports=True, hold_ports=True)
    logs.setup(settings.log_level, "supervisor")
    return Supervisor(settings).run()


def _until_told(role: str, main: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> int:
    settings = load()
    logs.setup(settings.log_level, role)
    if settings.database_is_embedded:
        raise Unavailable(
            f"The {role} needs a database.",
            remedy="Set DATABASE_URL, or start everything with: phoenix up",
        )

    async def live() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(settings, stop)

    log.info("started", pid=os.getpid())
    asyncio.run(live())
    log.info("ended")
    return 0


async def _api(settings: Settings, stop: asyncio.Event) -> None:
    from phoenix.api.app import create_app
    from phoenix.api.server import server
    from phoenix.wiring import build

    port = settings.ports["api"]
    await _serve(server(create_app(build(settings)), host=LOOPBACK, port=port), port, stop)


async def _controller(settings: Settings, stop: asyncio.Event) -> None:
    from prometheus_client import start_http_server

    from phoenix.wiring import build, controller

    start_http_server(settings.ports["controller"], addr=LOOPBACK)
    services = build(settings)
    async with services.opened():
        await controller(services, settings).run(stop)


async def _meter(settings: Settings, stop: asyncio.Event) -> None:
    from phoenix.measurement.meter import Meter
    from phoenix.measurement.server import server
    from phoenix.storage.database import Database

    database = Database(settings.database_url, pool_max=3)
    await database.open()
    meter = Meter(database, SystemClock())
    listening = server(meter, host=LOOPBACK, port=settings.ports["meter"])
    counting = asyncio.create_task(meter.run(stop))
    try:
        await _serve(listening, settings.ports["meter"], stop)
    finally:
        stop.set()
    await counting
    await database.close()


async def _agent(settings: Settings, stop: asyncio.Event) -> None:
    from phoenix.collectors.agent import Agent
    from phoenix.experiments.preflight import collector
    from phoenix.processes.loading import OwnLoad
    from phoenix.safety.service import SafetyService
    from phoenix.safety.watch import SafetyWatch
    from phoenix.storage.database import Database

    clock = SystemClock()
    database = Database(settings.database_url, pool_max=4)
    await database.open()
    watch = SafetyWatch(SafetyService(database, clock, settings.data_dir), clock)
    agent = Agent(
        database=database,
        clock=clock,
        watch=watch,
        binary=collector(settings.data_dir),
        data_dir=settings.data_dir,
        load=OwnLoad(settings.data_dir),
        own=lambda: _own(settings.data_dir),
        meter_url=settings.meter_url,
    )
    await asyncio.gather(watch.run(stop), agent.run(stop))
    await database.close()


async def _ledger(settings: Settings, stop: asyncio.Event) -> None:
    from phoenix.ledger.anchor import Folder
    from phoenix.ledger.sequencer import Sequencer
    from phoenix.ledger.signer_process import SignerProcess
    from phoenix.storage.database import Database

    database = Database(settings.database_url, pool_max=2)
    signer = SignerProcess()
    await database.open()
    try:
        outside = Folder(settings.ledger_anchor) if settings.ledger_anchor else None
        await Sequencer(database, signer, outside).run(stop)
    finally:
        await signer.close()
        await database.close()


def _signer() -> int:
    """Answers the ledger on its standard input; ends with it."""
    from phoenix.ledger.signer_process import serve

    settings = load()
    logs.setup(settings.log_level, "signer")
    serve(settings.data_dir / "ledger", sys.stdin.buffer, sys.stdout.buffer)
    return 0


def _own(data_dir: Path) -> Mapping[str, int]:
    """The parts of Phoenix on this host, from the supervisor's file."""
    try:
        members: list[dict[str, Any]] = json.loads((data_dir / "state.json").read_text())["members"]
    except (OSError, ValueError, KeyError):
        return {}
    return {m["name"]: m["pid"] for m in members if m["pid"] and m["name"] != "agent"}


async def _serve(server: uvicorn.Server, port: int, stop: asyncio.Event) -> None:
    """Serve until we are told to end; signals are ours, the server only sees `should_exit`.

    Raises:
        PortTaken: another program listens there.
    """
    listening = listen(LOOPBACK, port)
    serving = asyncio.create_task(server._serve(sockets=[listening]))
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    server.should_exit = True
    await serving
