"""Says, before anything is fetched, whether this machine can run Phoenix and what it will cost.

Every check is one function that returns findings: `ok`, `note` (works, but you should know) or
`FAIL` with what to do. All checks run before the answer, so that one round mends everything.
Nothing is written, nothing is downloaded. Standard library only, Python 3.8 syntax: an older
interpreter must be able to read this far in order to say that it is too old.

Exit codes: 0 may go on, 6 something is missing here (the same number that `phoenix` uses for
"unavailable").
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine

OK, NOTE, FAIL = "ok", "note", "FAIL"
MIB = 1 << 20
CLONE_NEWUSER = 0x10000000


class Finding(NamedTuple):
    """One line of the answer; `remedy` says what to do and is empty when there is nothing to do."""

    level: str
    subject: str
    said: str
    remedy: str = ""


class Share(NamedTuple):
    """One part of the installation: what it fetches and what it then occupies, in MiB."""

    what: str
    fetch_mib: int
    disk_mib: int


# Measured on x86_64 with an empty clone; docs/howto/install.md has the table and the commands.
PACKAGES = Share("Python packages with PostgreSQL", 115, 410)
DEVELOPMENT = Share("test tools", 32, 110)
GO = Share("Go", 72, 260)
COLLECTOR = Share("Go modules of the collector", 195, 2250)
WORKING_MIB = 700  # database, logs, reports, temporary files
MEMORY_NEEDED_MIB = 1200
MEMORY_EASY_MIB = 2500


def check_system() -> Iterator[Finding]:
    """Linux on a processor and a C library for which every part has a binary."""
    if not sys.platform.startswith("linux"):
        yield Finding(
            FAIL,
            "system",
            f"{platform.system()}: Phoenix measures Linux processes through /proc",
            "run it on a Linux host or in a Linux virtual machine",
        )
        return
    kind, version = platform.libc_ver()
    if platform.machine() not in ("x86_64", "aarch64"):
        yield Finding(
            FAIL,
            "system",
            f"{platform.machine()} processor: there are binaries for x86_64 and aarch64",
            "use a machine of one of these kinds",
        )
    elif kind != "glibc":
        yield Finding(
            FAIL,
            "system",
            "no glibc: the embedded PostgreSQL and Go are built against it",
            "use a distribution with glibc (Debian, Ubuntu, Fedora, ...; not Alpine)",
        )
    else:
        yield Finding(OK, "system", f"Linux {platform.machine()}, glibc {version}")


def check_python() -> Iterator[Finding]:
    """A supported interpreter that can make a virtual environment with pip in it."""
    oldest, newest = (".".join(map(str, v)) for v in (machine.OLDEST_PYTHON, machine.NEWEST_PYTHON))
    if not machine.python_is_supported(sys.version_info[:2]):
        yield Finding(
            FAIL,
            "python",
            f"{machine.interpreter()}: needs Python {oldest} to {newest}",
            f"install one of them, then: make demo PYTHON=/path/to/python{newest}",
        )
        return
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding(
            FAIL,
            "python",
            "{} has no module {}".format(machine.interpreter(), " and ".join(missing)),
            "Debian and Ubuntu: apt install python3-venv; elsewhere take a complete Python",
        )
    else:
        yield Finding(OK, "python", f"{machine.interpreter()} with venv")


def check_make() -> Iterator[Finding]:
    """make itself: somebody may have started this file by hand."""
    if shutil.which("make") is None:
        yield Finding(FAIL, "make", "not on PATH", "Debian and Ubuntu: apt install make")
    else:
        yield Finding(OK, "make", "found")


def shares_to_fetch(purpose: str) -> list[Share]:
    """What is not in the clone yet."""
    shares = []
    stamp = machine.VENV / "phoenix-installed.json"
    if not stamp.exists():
        shares.append(PACKAGES)
    if purpose == "test" and not (machine.VENV / "bin" / "pytest").exists():
        shares.append(DEVELOPMENT)
    if not machine.collector_is_built():
        if machine.find_go() is None and not (machine.VENV / "bin" / "go").exists():
            shares.append(GO)
        shares.append(COLLECTOR)
    return shares


def check_disk(shares: list[Share]) -> Iterator[Finding]:
    """Room in the clone, which is the only place that is written to, and the right to use it."""
    needed_mib = sum(share.disk_mib for share in shares) + WORKING_MIB
    free_mib = shutil.disk_usage(str(machine.ROOT)).free // MIB
    said = f"{amount(free_mib)} free in the clone, {amount(needed_mib)} needed"
    if not os.access(str(machine.ROOT), os.W_OK | os.X_OK):
        yield Finding(
            FAIL, "disk", f"{machine.ROOT} is not writable", "clone as the user who runs make"
        )
    elif free_mib < needed_mib:
        yield Finding(FAIL, "disk", said, "free some space, or clone on a larger disk")
    elif os.statvfs(str(machine.ROOT)).f_flag & os.ST_NOEXEC:
        yield Finding(
            FAIL,
            "disk",
            f"{machine.ROOT} is mounted noexec: programs installed there cannot start",
            "clone on a file system without that option",
        )
    else:
        yield Finding(OK, "disk", said)


def check_memory() -> Iterator[Finding]:
    """Available memory, or what is left of this control group's limit if that is less."""
    available_mib = available_memory_mib()
    if available_mib is None:
        yield Finding(NOTE, "memory", "cannot be read from /proc/meminfo")
        return
    said = f"{amount(available_mib)} available"
    if available_mib < MEMORY_NEEDED_MIB:
        yield Finding(
            FAIL,
            "memory",
            f"{said}, {amount(MEMORY_NEEDED_MIB)} needed",
            "stop something, or raise the container's memory limit",
        )
    elif available_mib < MEMORY_EASY_MIB:
        yield Finding(
            NOTE, "memory", said + ": building the collector will be slow; LOAD=none saves some"
        )
    else:
        yield Finding(OK, "memory", said)


def available_memory_mib() -> int | None:
    """MiB available to this process, or None where it cannot be known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    available = int(found.split()[1]) // 1024
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return available
    return available if limit == "max" else min(available, max(0, int(limit) - used) // MIB)


def check_proc() -> Iterator[Finding]:
    """/proc is the thing that is measured; hidepid and an ordinary user narrow what it shows."""
    try:
        shown = sum(1 for each in Path("/proc").iterdir() if each.name.isdigit())
        mounts = Path("/proc/mounts").read_text().splitlines()
        Path("/proc/self/stat").read_text()
    except OSError as error:
        yield Finding(
            FAIL,
            "/proc",
            f"cannot be read ({error.strerror})",
            "mount it (mount -t proc proc /proc), or start the container with its own /proc",
        )
        return
    options = next(
        (line.split()[3] for line in mounts if line.split()[1:3] == ["/proc", "proc"]), ""
    )
    hidden = [each for each in options.split(",") if each.startswith("hidepid=")]
    if hidden and hidden[0] not in ("hidepid=0", "hidepid=off") and os.geteuid() != 0:
        yield Finding(
            NOTE,
            "/proc",
            f"{shown} processes; mounted with {hidden[0]}: those of other users cannot be measured",
        )
    else:
        yield Finding(OK, "/proc", f"{shown} processes to be seen")


def check_user() -> Iterator[Finding]:
    """Either user works; each has a price, which is said here and not discovered later."""
    if os.geteuid() != 0:
        yield Finding(
            NOTE,
            "user",
            "not root: disk I/O and executable paths of other users' processes cannot be seen; "
            "CPU, memory and names can",
        )
    elif os.environ.get("DATABASE_URL") or may_enter_user_namespace():
        yield Finding(OK, "user", "root: every process can be measured in full")
    else:
        yield Finding(
            NOTE,
            "user",
            "root without user namespaces: PostgreSQL refuses to run as root and will run as "
            "`nobody`; if that fails, run as an ordinary user or set DATABASE_URL",
        )


def may_enter_user_namespace() -> bool:
    """Try it in a child: a policy of the kernel, a container or a profile may forbid it."""
    child = os.fork()
    if child == 0:
        try:
            failed = ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER)
        except (OSError, AttributeError):
            failed = 1
        os._exit(0 if failed == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def check_ports() -> Iterator[Finding]:
    """Ports never fail here: defaults are taken if free, else any free ones, and printed."""
    yield Finding(OK, "ports", "loopback only; the default ports if free, else free ones")


def check_data_folder() -> Iterator[Finding]:
    """A .phoenix that belongs to somebody else stops everything later, with worse messages."""
    try:
        owner = machine.STATE.stat()
    except FileNotFoundError:
        return
    if (owner.st_uid != os.geteuid() and os.geteuid() != 0) or not stat.S_ISDIR(owner.st_mode):
        yield Finding(
            FAIL,
            "clone",
            ".phoenix is not a folder of this user",
            f"remove it as its owner, for example: sudo rm -r {machine.STATE}",
        )


def amount(mib: int) -> str:
    """A size as people say it."""
    return f"{mib} MB" if mib < 1000 else f"{mib / 1024:.1f} GB"


def outlook(shares: list[Share]) -> str:
    """What will be fetched and how long it takes, or that there is nothing to do."""
    if not shares:
        return "Everything is installed and built; nothing to fetch."
    total = amount(sum(share.fetch_mib for share in shares))
    parts = ", ".join(f"{share.what} {amount(share.fetch_mib)}" for share in shares)
    lasting = (
        "up to 12 minutes on 2 cores plus the download (built once)"
        if COLLECTOR in shares
        else "about a minute plus the download"
    )
    return f"Will fetch about {total}: {parts}.\nThis takes {lasting}."


def main() -> int:
    """Run every check, print one line each, and say what comes next."""
    parser = argparse.ArgumentParser(description="Check this machine before anything is fetched.")
    parser.add_argument("--for", dest="purpose", choices=["demo", "test"], default="demo")
    purpose = parser.parse_args().purpose
    shares = shares_to_fetch(purpose)
    findings = [*check_system(), *check_python(), *check_make(), *check_disk(shares)]
    if sys.platform.startswith("linux"):
        findings += [*check_memory(), *check_proc(), *check_user()]
    findings += [*check_ports(), *check_data_folder()]
    print("Preflight")
    for finding in findings:
        print(f"  {finding.level:4}  {finding.subject:7} {finding.said}")
        if finding.remedy:
            print(f"                -> {finding.remedy}")
    failed = sum(finding.level == FAIL for finding in findings)
    if failed:
        print(f"{failed} of {len(findings)} checks failed; nothing was fetched or changed.")
        return 6
    print(outlook(shares), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
