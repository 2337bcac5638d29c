"""Ports of the loopback interface: is one free, and which one is."""

from __future__ import annotations

import socket

from phoenix.base.errors import Unavailable


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
