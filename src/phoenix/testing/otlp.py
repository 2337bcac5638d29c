"""OTLP payloads as a collector's process scrape makes them: same fields, order and lengths.

The official protobuf runtime writes fields by ascending number, the collector by descending; the
meter must read both, so `collector_bytes` writes the collector's order.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SCOPE = (
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/"
    "internal/scraper/processscraper"
)
_SCHEMA = "https://opentelemetry.io/schemas/1.43.0"
_METRICS = (
    ("process.cpu.time", "Total CPU seconds broken down by different states.", "s", True,
     ("user", "system", "wait"), "state"),
    ("process.disk.io", "Disk bytes transferred.", "By", True, ("read", "write"), "direction"),
    ("process.memory.usage", "The amount of physical memory in use.", "By", False, (None,), ""),
    ("process.memory.virtual", "The amount of committed virtual memory.", "By", False, (None,), ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeProcess:
    """A process as the scraper would tell it. `cpu_s` is user time."""

    pid: int
    name: str
    started_ns: int
    cpu_s: float = 0.0
    io_bytes: int = 0
    memory_bytes: int = 1 << 20
    owner: str = "root"
    command_line: str = ""


def processes(count: int, *, seed: int, started_ns: int) -> list[FakeProcess]:
    """`count` processes with names, paths and command lines of realistic lengths."""
    dice = random.Random(seed)  # noqa: S311
    names = ("nginx", "postgres", "redis-server", "java", "chrome", "kworker/1:0-events", "python3")
    return [
        FakeProcess(
            pid=300 + 7 * number,
            name=dice.choice(names) if dice.random() < 0.6 else f"worker-{number}",
            started_ns=started_ns - dice.randrange(10**9, 10**13),
            cpu_s=dice.random() * 100,
            io_bytes=dice.randrange(1 << 30),
            memory_bytes=dice.randrange(1 << 20, 1 << 30),
            command_line=" --option=value" * dice.randrange(1, 9),
        )
        for number in range(count)
    ]


def aged(found: Iterable[FakeProcess], seconds: float) -> list[FakeProcess]:
    """The same processes later: each used CPU and did I/O."""
    return [
        FakeProcess(
            pid=p.pid,
            name=p.name,
            started_ns=p.started_ns,
            owner=p.owner,
            command_line=p.command_line,
            memory_bytes=p.memory_bytes,
            cpu_s=p.cpu_s + seconds * (p.pid % 13) / 100,
            io_bytes=p.io_bytes + p.pid * 4096,
        )
        for p in found
    ]


def collector_bytes(found: Sequence[FakeProcess], at_ns: int) -> bytes:
    """An ExportMetricsServiceRequest of one scrape, seven points a process."""
    return b"".join(_field(1, _process(p, at_ns + 60_000 * i)) for i, p in enumerate(found))


def _process(process: FakeProcess, at_ns: int) -> bytes:
    values: dict[str, tuple[float | int, ...]] = {
        "process.cpu.time": (float(process.cpu_s), float(process.cpu_s) / 3, 0.0),
        "process.disk.io": (process.io_bytes, process.io_bytes // 2),
        "process.memory.usage": (process.memory_bytes,),
        "process.memory.virtual": (process.memory_bytes * 4,),
    }
    metrics = b""
    for name, description, unit, monotonic, states, attribute in _METRICS:
        points = b"".join(
            _field(1, _point(value, at_ns, process.started_ns, attribute, state))
            for value, state in zip(values[name], states, strict=True)
        )
        total = (b"\x18\x01" if monotonic else b"") + b"\x10\x02" + points
        metrics += _field(
            2,
            _field(7, total)
            + _field(3, unit.encode())
            + _field(2, description.encode())
            + _field(1, name.encode()),
        )
    scope = _field(1, _field(2, b"0.161.0") + _field(1, _SCOPE.encode()))
    return _field(3, _SCHEMA.encode()) + _field(2, metrics + scope) + _field(1, _resource(process))


def _resource(process: FakeProcess) -> bytes:
    path = f"/usr/bin/{process.name}"
    texts = {
        "process.executable.name": process.name,
        "process.executable.path": path,
        "process.command": path,
        "process.command_line": path + process.command_line,
        "process.owner": process.owner,
    }
    pid = _field(2, b"\x18" + _varint(process.pid)) + _field(1, b"process.pid")
    parent = _field(2, b"\x18\x01") + _field(1, b"process.parent_pid")
    strings = [
        _field(2, _field(1, value.encode())) + _field(1, key.encode())
        for key, value in texts.items()
    ]
    return b"".join(_field(1, attribute) for attribute in (pid, parent, *strings))


def _point(value: float, at_ns: int, started_ns: int, attribute: str, state: str | None) -> bytes:
    number = b"\x31" + struct.pack("<q", value) if isinstance(value, int) else b""
    number = number or b"\x21" + struct.pack("<d", value)
    times = b"\x19" + struct.pack("<Q", at_ns) + b"\x11" + struct.pack("<Q", started_ns)
    if state is None:
        return number + times
    pair = _field(2, _field(1, state.encode())) + _field(1, attribute.encode())
    return number + times + _field(7, pair)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
