"""`phoenix up|down|status|serve|kill|revive|demo`: the Phoenix of this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from phoenix.cli import output


def add_to(app: typer.Typer) -> None:
    """Hang the commands without a noun on the root."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(kill)
    app.command()(revive)
    app.command()(demo)
    app.command()(serve)


def up() -> None:
    """Start Phoenix on this machine, over its own PostgreSQL or DATABASE_URL.

    Builds the collector first, once. Default ports are taken if they are free, else free ones.

    Example: phoenix up && phoenix status
    """
    from phoenix.cli.progress import Progress
    from phoenix.collectors import distribution
    from phoenix.processes import machine
    from phoenix.settings import data_dir, load

    machine.refuse_when_up(data_dir())
    load(choose_ports=True)  # a port that is taken is told now, not after the build
    progress = Progress()
    distribution.build(data_dir(), progress)
    progress.done()
    running = machine.up_detached(data_dir())
    output.show(
        asdict(running),
        lambda: (
            f"Phoenix is up: API on http://127.0.0.1:{running.ports['api']}\n"
            "Try: phoenix experiment run --candidate process-aggregated-v1"
        ),
    )


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete all data, builds and caches.")
    ] = False,
) -> None:
    """Stop Phoenix and everything it started.

    Example: phoenix down --purge
    """
    from phoenix.processes import machine
    from phoenix.settings import data_dir

    folder = data_dir()
    was_up = machine.down(folder, purge=purge)
    said = "stopped" if was_up else "nothing was running"
    output.show(
        {"stopped": was_up, "purged": purge},
        lambda: f"{said}; {folder} is deleted" if purge else said,
    )


def status() -> int:
    """What runs here. Exits 6 when nothing does.

    Example: phoenix status -o json
    """
    from phoenix.cli.client import NoServer
    from phoenix.processes import machine
    from phoenix.settings import data_dir

    running = machine.status(data_dir())
    if running is None:
        raise NoServer(remedy="Start it with: phoenix up")
    output.show(
        asdict(running),
        lambda: output.table(
            ("part", "state", "pid", "port", "restarts", "last exit"),
            [
                (
                    m.name,
                    m.state,
                    m.pid or "-",
                    running.ports.get(m.name, "-"),
                    m.restarts,
                    m.last_exit or "-",
                )
                for m in running.members
            ],
        ),
    )
    return 0


def kill(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is written down.")],
    scope: Annotated[
        str, typer.Option("--scope", help="all, experiments, payments or gate.")
    ] = "all",
) -> None:
    """Stop everything Phoenix governs, within 5 s, also when the database is gone.

    Example: phoenix kill --reason "page 4711: collectors misbehave"
    """
    import asyncio

    from phoenix.processes import killing
    from phoenix.settings import data_dir

    said = asyncio.run(killing.kill(data_dir(), reason=reason, scope=scope))
    output.show(asdict(said), lambda: said.sentence)


def revive(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is written down.")],
) -> None:
    """End a kill. What was stopped starts again by itself.

    Example: phoenix revive --reason "fixed: wrong revision"
    """
    import asyncio

    from phoenix.processes import killing
    from phoenix.settings import data_dir

    said = asyncio.run(killing.revive(data_dir(), reason=reason))
    output.show(asdict(said), lambda: said.sentence)


def demo(
    candidate: Annotated[
        str, typer.Option("--candidate", help="A pipeline, or: broken, same.")
    ] = "process-aggregated-v1",
    load: Annotated[
        str, typer.Option("--load", help="realistic, high-cardinality, high-churn or none.")
    ] = "realistic",
    seed: Annotated[int, typer.Option("--seed", help="Of the load.")] = 1,
    evidence: Annotated[
        int | None, typer.Option("--evidence", help="Evidence ticks, at most.  [150]")
    ] = None,
) -> int:
    """The main job in one command: measure this host, try a candidate, say the verdict, clean up.

    Example: phoenix demo --candidate broken
    """
    from phoenix.cli import demo as story

    return story.run(candidate, load, seed, evidence)


def serve(
    role: Annotated[
        str, typer.Argument(help="supervisor, api, controller, meter, agent or ledger.")
    ],
) -> int:
    """Run one process in the foreground.

    Example: phoenix serve api
    """
    from phoenix.processes import roles

    return roles.run(role)
