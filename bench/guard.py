"""How long the query guard takes: 5,000 expressions against both arms' 50,000 series.

    .venv/bin/python bench/guard.py                  # seeded series and expressions of our own
    CORPUS=folder .venv/bin/python bench/guard.py    # also parses rules and dashboards found there

The series are those of 6,250 processes of 400 names on 25 hosts, eight each; the candidate keeps
40 names and folds the rest by category. The expressions are alerts, recording rules and panels as
people write them, each about other names, so that nothing is answered from memory but selectors of
a whole metric. One core, one process; the index is part of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from phoenix.guard import reading
from phoenix.guard.backend import Backend
from phoenix.guard.judging import Judge
from phoenix.guard.model import Query
from phoenix.measurement.emitted import Emitted, Point

NAMES, HOSTS, EACH = 400, 25, 6_250
MEMORY = Point("process.memory.usage", "By", "sum", ())
POINTS = (
    *(
        Point("process.cpu.time", "s", "counter", (("state", state),))
        for state in ("system", "user", "wait")
    ),
    *(Point("process.disk.io", "By", "counter", (("direction", d),)) for d in ("read", "write")),
    MEMORY,
    Point("process.memory.virtual", "By", "sum", ()),
    Point("process.threads", "{threads}", "sum", ()),
)  # fmt: skip


def baseline() -> list[Emitted]:
    """Every process on its own."""
    found = []
    for number in range(EACH):
        resource = {
            "host.name": f"web{number % HOSTS}",
            "process.executable.name": name(number % NAMES),
            "process.executable.path": f"/usr/bin/{name(number % NAMES)}",
            "process.owner": f"user{number % 7}",
            "process.pid": str(1000 + number),
            "service.name": "hosts",
        }
        found.append(Emitted(tuple(sorted(resource.items())), POINTS, 100))
    return found


def candidate(every: list[Emitted]) -> list[Emitted]:
    """Some by name, the rest folded by category."""
    critical = {name(number) for number in range(0, NAMES, 10)}
    kept = [each for each in every if dict(each.resource)["process.executable.name"] in critical]
    folded = [
        Emitted(
            (("host.name", f"web{host}"), ("service.name", "hosts")),
            tuple(
                replace(point, attributes=(("process.category", category), *point.attributes))
                for point in POINTS
            ),
            100,
        )
        for host in range(HOSTS)
        for category in ("system", "runtime", "other")
    ]
    return kept + folded


def name(number: int) -> str:
    """A name of an executable."""
    return f"{('nginx', 'java', 'redis', 'worker')[number % 4]}-{number}"


def expressions(how_many: int, seed: int) -> Iterator[Query]:
    """Rules and panels as people write them."""
    dice = random.Random(seed)
    who, cpu = "process_executable_name", "process_cpu_time_seconds_total"
    memory, disk = "process_memory_usage_bytes", "process_disk_io_bytes_total"
    for number in range(how_many):
        a, b, c = (name(dice.randrange(NAMES)) for _ in range(3))
        host = f"web{dice.randrange(HOSTS)}"
        forms = (
            f'absent({memory}{{{who}="{a}",host_name="{host}"}})',
            f'rate({cpu}{{{who}=~"{a}|{b}|{c}"}}[5m]) > 0.{number % 90 + 1}',
            f'sum by (host_name, {who}) (rate({cpu}{{{who}="{a}",state!="wait"}}[5m])) > 2',
            f'max by (host_name) ({memory}{{{who}=~"{a[:5]}.*{number % 10}"}}) > {number}e6',
            f'count by (host_name) ({memory}{{{who}="{a}"}}) < {number % 5}',
            f'topk({number % 9 + 1}, sum by ({who}) (rate({cpu}{{host_name="{host}"}}[5m])))',
            f'({memory}{{{who}="{a}"}} unless on (host_name) {memory}{{{who}="{b}"}}) > {number}',
            f'sum(rate({disk}{{{who}="{a}"}}[5m])) / sum(rate({disk}[5m])) > 0.5',
            f'{memory}{{{who}="{a}"}} / on (host_name, process_pid) group_left ()'
            f' process_memory_virtual_bytes{{{who}="{a}"}} > 0.{number % 90 + 1}',
            f'(sum(process_threads{{process_owner="user{number % 7}",{who}=~"{b}|{c}"}})'
            f" or vector(0)) > {number}",
        )
        kind = ("alert", "alert", "recording", "panel")[number % 4]
        yield Query(kind=kind, source="bench", name=f"q{number}", expr=forms[number % len(forms)])  # type: ignore[arg-type]


def main() -> int:
    """Measure, print, and write what was measured."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--expressions", type=int, default=5_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("bench/results/guard.json"))
    wanted = options.parse_args()
    first = baseline()
    second = candidate(first)
    queries = list(expressions(wanted.expressions, wanted.seed))
    begun, used = time.perf_counter(), time.process_time()
    judge = Judge(first, second, Backend(), ("process.cpu.time", "process.memory.usage"))
    indexed = time.perf_counter()
    findings = judge.judge(queries)
    done, spent = time.perf_counter(), time.process_time() - used
    figures = {
        "expressions": len(queries),
        "seed": wanted.seed,
        "series": list(judge.sizes),
        "index_s": round(indexed - begun, 2),
        "resolve_s": round(done - indexed, 2),
        "total_s": round(done - begun, 2),
        "cpu_s": round(spent, 2),
        "answers": dict(Counter(finding.answer.value for finding in findings).most_common()),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    corpus = os.environ.get("CORPUS")
    if corpus:
        figures["corpus"] = _corpus(Path(corpus))
    print(json.dumps(figures, indent=2))
    wanted.out.parent.mkdir(exist_ok=True)
    wanted.out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _corpus(folder: Path) -> dict[str, object]:
    """What of public rules and dashboards can be read; they are read and never kept."""
    counted: dict[str, object] = {}
    for what, read in (("rules", reading.rules), ("dashboards", reading.boards)):
        found = read(folder)
        counted[what] = {
            "queries": len(found),
            "sources": len({query.source for query in found}),
            "unreadable": sum(bool(query.unreadable) for query in found),
        }
    return counted


if __name__ == "__main__":
    sys.exit(main())
