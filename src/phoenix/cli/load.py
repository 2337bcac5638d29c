"""`phoenix load`: real processes with real names, for demos and rehearsals. Needs no server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from phoenix.cli import output

app = typer.Typer(no_args_is_help=True, help="Start, stop and list a load of real processes.")


@app.command()
def start(
    profile: Annotated[
        str, typer.Option("--profile", help="realistic, high-cardinality or high-churn.")
    ] = "realistic",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same load.")] = 1,
    count: Annotated[int | None, typer.Option("--count", help="Processes.")] = None,
) -> None:
    """Start a load; it runs until `phoenix load stop`.

    Example: phoenix load start --profile high-churn --seed 7
    """
    from phoenix.load import profiles, service
    from phoenix.settings import data_dir

    started = service.start_detached(profiles.plan(profile, seed, count), data_dir())
    output.show(
        asdict(started),
        lambda: f"{started.profile}: {started.count} processes. End them: phoenix load stop",
    )


@app.command()
def stop() -> None:
    """End the load.

    Example: phoenix load stop
    """
    from phoenix.load import service
    from phoenix.settings import data_dir

    ended = service.stop(data_dir())
    output.show(asdict(ended), lambda: f"stopped {ended.profile}, {ended.count} processes")


@app.command("list")
def list_running() -> None:
    """The processes of the running load.

    Example: phoenix load list -o json
    """
    from phoenix.load import service
    from phoenix.settings import data_dir

    running = service.list_running(data_dir())
    output.show(
        [asdict(process) for process in running],
        lambda: (
            output.table(
                ("pid", "name", "cpu s", "memory MiB"),
                [(p.pid, p.name, f"{p.cpu_s:.1f}", f"{p.rss_bytes / 2**20:.1f}") for p in running],
            )
            if running
            else "No load is running. Start one: phoenix load start"
        ),
    )
