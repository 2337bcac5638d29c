"""The few lines that run in the child before its program: bind to the parent, then become it.

Started as a script of its own with `python -I -S`, so it may import the standard library only.
Arguments: PARENT_PID SIGNAL USER MEMORY_LIMIT_BYTES -- PROGRAM ARGUMENTS...
where USER is `same`, `namespace` (be user 1000 of a new user namespace) or a user's name.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_NAMESPACE_USER = 1000
EXIT_ORPHANED = 120
EXIT_NO_NAMESPACE = 121
EXIT_NO_PROGRAM = 127


def main(arguments: list[str]) -> int:
    """Bind to the parent and execute the program; returns only when that fails."""
    parent_pid, signal, user, memory_limit_bytes, _, *program = arguments
    try:
        _become(user)
    except OSError as reason:
        print(f"cannot become {user}: {reason}", file=sys.stderr)  # noqa: T201
        return EXIT_NO_NAMESPACE
    if int(memory_limit_bytes):
        # RLIMIT_DATA counts private writable memory (Linux 4.7); RLIMIT_AS would also count the
        # address space that Go and Java only reserve.
        limit = int(memory_limit_bytes)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # After the change of user: the kernel clears the parent-death signal when credentials change.
    _libc_call("prctl", _PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(parent_pid):
        return EXIT_ORPHANED  # the parent died before the signal was armed
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell is wanted
    except OSError as reason:
        print(f"cannot start {program[0]}: {reason.strerror}", file=sys.stderr)  # noqa: T201
    return EXIT_NO_PROGRAM


def _become(user: str) -> None:
    if user == "same":
        return
    if user == "namespace":
        _enter_user_namespace()
        return
    import pwd  # noqa: PLC0415 - most children need no user database

    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _enter_user_namespace() -> None:
    """Be user 1000 inside while files stay owned by the present user outside."""
    user, group = os.geteuid(), os.getegid()
    _libc_call("unshare", _CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NAMESPACE_USER} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{_NAMESPACE_USER} {group} 1")


def _libc_call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
