"""Children that end with their parent, even when the parent is killed with SIGKILL.

The kernel sends a child the signal it asked for when the thread that started it ends
(PR_SET_PDEATHSIG, prctl(2)). The child must ask itself, after fork and before its program, so a
small script does that and then becomes the program: the process number stays the same.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from phoenix.host import tether_exec

_File = int | IO[bytes] | None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: _File = subprocess.DEVNULL,
    stderr: _File = subprocess.DEVNULL,
    cwd: str | Path | None = None,
    on_parent_death: signal.Signals = signal.SIGKILL,
    user_namespace: bool = False,
    run_as: str | None = None,
    memory_limit_bytes: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` as a child that ends with this process.

    Call it from a thread that lives as long as the process, in practice the main one: the kernel
    watches the thread, and a child started by a short-lived thread ends with that thread.

    Args:
        argv: the program, looked up on PATH, and its arguments.
        env: its whole environment; None inherits ours.
        on_parent_death: the signal it gets when we end.
        user_namespace: run as user 1000 of a new user namespace, for programs that refuse to run
            as root; their files stay ours outside.
        run_as: the name of the user to become; needs root.
        memory_limit_bytes: a ceiling of private writable memory; beyond it allocations fail.

    The child gets a session of its own (a Ctrl-C of the terminal reaches us only, so that we can
    end children in order) and no standard input. It ends with 127 when the program cannot be
    started, 121 when it cannot become the user.
    """
    assert argv, "a program is needed"
    assert not (user_namespace and run_as), "one change of user"
    user = "namespace" if user_namespace else run_as or "same"
    wrapper = [
        sys.executable,
        "-I",
        "-S",
        tether_exec.__file__,
        str(os.getpid()),
        str(int(on_parent_death)),
        user,
        str(memory_limit_bytes or 0),
        "--",
        *argv,
    ]
    return subprocess.Popen(
        wrapper,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        start_new_session=True,
    )


@functools.cache
def user_namespaces_allowed() -> bool:
    """Whether this machine lets us make a user namespace (containers often forbid it)."""
    with spawn(["true"], user_namespace=True) as probe:
        return probe.wait(timeout=10) == 0


def end(child: subprocess.Popen[bytes], *, within_s: float, first: int = signal.SIGTERM) -> int:
    """Ask `child` to end with `first`; after `within_s` seconds make it end. Returns its status."""
    if child.poll() is None:
        child.send_signal(first)
    try:
        return child.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
