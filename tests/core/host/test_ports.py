"""Whose a port is: two Phoenixes of one host never choose the same, and none takes an answer of
another program for its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from phoenix.host.ports import PortTaken, free_port, hold, is_free, listen, listens
from phoenix.settings import load

HOLD = "import sys; from phoenix.host.ports import hold; print(hold(int(sys.argv[1])), flush=True)"


def elsewhere(port: int, *, stays: bool = False) -> subprocess.Popen[str]:
    """Another process that tries to hold the port, and perhaps stays."""
    wait = "; sys.stdin.read()" if stays else ""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD + wait, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_port_that_one_phoenix_chose_is_not_chosen_by_another_before_anything_listens() -> None:
    port = free_port()
    with elsewhere(port, stays=True) as holder:
        assert said(holder) == "True"
        assert is_free(port), "nothing listens yet"
        assert not hold(port)
        chosen = load({}, choose_ports=True, hold_ports=True).ports
        assert port not in chosen.values()
    assert hold(port), "it went with the process"


def test_the_chosen_ports_are_held_against_another_process() -> None:
    chosen = load({}, choose_ports=True, hold_ports=True).ports
    assert len(set(chosen.values())) == len(chosen)
    for port in chosen.values():
        with elsewhere(port) as other:
            assert said(other) == "False"


def test_a_port_somebody_listens_on_cannot_be_held() -> None:
    port = free_port()
    with listen("127.0.0.1", port) as listening:
        listening.listen()
        assert not hold(port)
        with pytest.raises(PortTaken):
            listen("127.0.0.1", port)


def test_who_listens_is_told_from_who_does_not() -> None:
    port = free_port()
    with listen("127.0.0.1", port) as listening:
        listening.listen()
        assert listens(os.getpid(), port)
        assert not listens(os.getppid(), port)
