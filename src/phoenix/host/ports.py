"""Ports of the loopback interface: is one free, which one is, and whose it is."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from phoenix.base.errors import Unavailable

_HELD: dict[int, socket.socket] = {}
_LISTEN = "0A"  # state of a socket in /proc/net/tcp


class PortTaken(Unavailable):
    """The port cannot be listened on."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now. Use it at once: nothing reserves it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on TCP `port` now.

    A port whose last connections are still in TIME_WAIT counts as free, since servers listen with
    SO_REUSEADDR.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def hold(port: int, host: str = "127.0.0.1") -> bool:
    """Whether `port` is free and, until this process ends, ours among the Phoenixes of this host.

    Between the choice of a port and the moment a role listens on it lie seconds, in which another
    Phoenix would choose it too. The note is a name in the abstract socket namespace: it has the
    scope of a port (the network namespace) and goes with the process. A program that does not ask
    may still take the port.
    """
    if not is_free(port, host):
        return False
    note = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        note.bind(f"\0phoenix-port-{port}")
    except OSError:
        note.close()
        return False
    _HELD[port] = note
    return True


def listens(pid: int, port: int) -> bool:
    """Whether it is that process that listens on TCP `port`, and not another program.

    True when the kernel does not say who listens.
    """
    listening = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
            listening.update(_listening(lines, port))
    if not listening:
        return True
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) in listening:
                    return True
    return False


def _listening(lines: list[str], port: int) -> set[str]:
    """The sockets that listen on the port, as /proc/<pid>/fd names them."""
    rows = (line.split() for line in lines)
    return {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port
    }


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket, inherited by nobody.

    Raises:
        PortTaken: another program listens there, or the port is not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as reason:
        listening.close()
        raise PortTaken(
            f"Nothing can listen on {host}:{port}: {reason.strerror}.",
            remedy="Stop what listens there, or choose another port.",
        ) from reason
    return listening
