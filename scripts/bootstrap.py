"""Installs Phoenix into its own clone: one virtual environment, from locked and hashed packages.

Four steps, each of which is left out when it is done already:
1. a virtual environment in .venv;
2. uv, the only package that pip installs, pinned in requirements/uv.txt;
3. the packages of uv.lock, by hash. uv.lock names the files of the public index, which a company
   may not be able to reach, so the versions and hashes are exported and looked up again in
   whatever index this machine is set up for: pip's settings are translated for uv, which does not
   read them (docs/howto/proxies-and-mirrors.md);
4. the clone's own `src/` put on the environment's path, with `.venv/bin/phoenix` to start it. A
   path file needs neither a network nor a build backend.

A stamp in .venv remembers the inputs, so that the second run costs a few milliseconds. Nothing is
written outside the clone. Standard library only.

Exit codes: 0 installed, 6 could not be fetched, 130 interrupted.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import machine

STAMP = machine.VENV / "phoenix-installed.json"
LOG = machine.STATE / "logs" / "bootstrap.log"
INPUTS = ("uv.lock", "pyproject.toml", "requirements/uv.txt", "scripts/bootstrap.py")
UV_PIN = re.compile(r"^uv==(\S+)", re.MULTILINE)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")

LAUNCHER = """\
#!/bin/sh
'''exec' {python} "$0" "$@"
' '''
import sys

from phoenix.__main__ import main

sys.exit(main())
"""

WRONG_FILE = "the index serves another file than the one that was locked: ask who runs it"
LACKS_PACKAGE = "the index lacks a locked package: see docs/howto/proxies-and-mirrors.md"
NETWORK_REMEDY = (
    "check the connection; behind a proxy or with a mirror of your own see "
    "docs/howto/proxies-and-mirrors.md; then run it again: what was fetched is kept"
)
REMEDIES = (  # the first sign that is found decides
    ("No space left", "free some disk space and run it again"),
    ("Hashes are mismatch", WRONG_FILE),
    ("hash mismatch", WRONG_FILE),
    ("ertificate", "name your authority's file in SSL_CERT_FILE or PIP_CERT"),
    ("connection broken", NETWORK_REMEDY),
    ("401 Unauthorized", "put the credentials into the index address, pip.conf or ~/.netrc"),
    ("403 Forbidden", "the index refuses: see docs/howto/proxies-and-mirrors.md"),
    ("no wheels", "the index has no binary for this machine: see docs/howto/install.md"),
    ("not found in the package registry", LACKS_PACKAGE),
    ("No matching distribution", LACKS_PACKAGE),
)


class StepFailed(Exception):
    """A step that could not be done; its text says what happened and what to do."""


def fingerprint() -> str:
    """One hash over everything that decides what gets installed, and where."""
    digest = hashlib.sha256(str(machine.ROOT).encode())
    for name in INPUTS:
        digest.update((machine.ROOT / name).read_bytes())
    return digest.hexdigest()


def installed() -> dict[str, object]:
    """What the stamp says; empty when there is none or the environment is broken."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if (machine.VENV / "bin" / "python").exists() else {}


def wanted_groups(asked: list[str], stamp: Mapping[str, object]) -> list[str]:
    """The groups asked for, Go if PATH has none, and whatever is installed already.

    Keeping the installed ones means that `make demo` after `make test` removes nothing.
    """
    kept = stamp.get("groups", [])
    groups = {*asked, *(kept if isinstance(kept, list) else [])}
    if machine.find_go() is None:
        groups.add("go")
    return sorted(groups)


# Settings of pip as environment variables of uv.


def pip_settings(listing: str) -> dict[str, list[str]]:
    """Values by option from `pip config list`; later files and the environment override earlier.

    A line reads `global.index-url='https://…'` or `:env:.index-url='…'`.
    """
    order = {"global": 0, "site": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, list[str]]] = {}
    for line in listing.splitlines():
        name, separator, text = line.partition("=")
        scope, _, option = name.rpartition(".")
        if not separator or scope not in order:
            continue
        with contextlib.suppress(ValueError, SyntaxError):
            values = str(ast.literal_eval(text)).split()
            if order[scope] >= found.get(option, (-1, []))[0]:
                found[option] = (order[scope], values)
    return {option: values for option, (_, values) in found.items()}


def uv_settings(pip: Mapping[str, list[str]], env: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv look where pip would; what the user set for uv itself wins."""
    settings: dict[str, str] = {}

    def translate(
        option: str, variable: str, joint: str = " ", unless: tuple[str, ...] = ()
    ) -> None:
        if pip.get(option) and not any(env.get(name) for name in (variable, *unless)):
            settings[variable] = joint.join(pip[option])

    translate("index-url", "UV_DEFAULT_INDEX", unless=("UV_INDEX_URL",))
    translate("extra-index-url", "UV_INDEX", unless=("UV_EXTRA_INDEX_URL",))
    translate("find-links", "UV_FIND_LINKS", joint=",")
    translate("trusted-host", "UV_INSECURE_HOST")
    translate("cert", "SSL_CERT_FILE", unless=("SSL_CERT_DIR",))
    translate("client-cert", "SSL_CLIENT_CERT")
    translate("proxy", "ALL_PROXY", unless=("HTTPS_PROXY", "https_proxy", "all_proxy"))
    translate("timeout", "UV_HTTP_TIMEOUT")
    if pip.get("no-index", ["0"])[0].lower() in ("1", "true", "yes", "on"):
        settings["UV_NO_INDEX"] = "1"
    if not any(env.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")) and (
        ssl.get_default_verify_paths().cafile
    ):
        # pip trusts what the system trusts; uv brings a list of its own unless told.
        settings.setdefault("UV_SYSTEM_CERTS", "1")
    # As pip: any index may have the version. Hashes are locked, so none can smuggle one in.
    settings["UV_INDEX_STRATEGY"] = env.get("UV_INDEX_STRATEGY") or "unsafe-best-match"
    settings["UV_HTTP_RETRIES"] = env.get("UV_HTTP_RETRIES") or "6"
    settings["UV_PYTHON_DOWNLOADS"] = "never"
    settings["UV_NO_PROGRESS"] = "" if sys.stderr.isatty() else "1"
    return settings


# Doing.


def run(arguments: list[str], env: Mapping[str, str], *, show: bool = False) -> str:
    """Run one command; its output goes to the log, or to the terminal when `show`.

    Raises StepFailed with the last lines and a remedy.
    """
    try:
        done = subprocess.run(
            arguments,
            check=False,
            cwd=machine.ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        raise StepFailed(f"{arguments[0]} cannot be started: {error.strerror}") from error
    said = CREDENTIALS.sub("", f"{done.stdout}{done.stderr or ''}")
    with LOG.open("a") as log:
        log.write(CREDENTIALS.sub("", f"$ {shlex.join(arguments)}\n") + said)
    if done.returncode:
        # Warnings about each retry say the same as the error, at great length.
        lines = [line for line in said.strip().splitlines() if not line.startswith("WARNING")]
        last = "".join(f"  {line[:160]}\n" for line in lines[-6:])
        raise StepFailed(f"{last}  -> {remedy_for(said)}\n     (all of it: {LOG})")
    return done.stdout


def remedy_for(said: str) -> str:
    """What to do about a failed installation, from what the installer said."""
    return next((remedy for sign, remedy in REMEDIES if sign in said), NETWORK_REMEDY)


@contextlib.contextmanager
def step(number: int, title: str) -> Iterator[None]:
    """Print what is being done, and then how long it took."""
    began = time.monotonic()
    print(f"  [{number}/4] {title} ...", flush=True)
    yield
    print(f"  [{number}/4] done in {time.monotonic() - began:.1f} s", flush=True)


def make_environment(python: Path, env: Mapping[str, str]) -> None:
    """A virtual environment of the running interpreter, with pip."""
    if machine.VENV.exists():
        shutil.rmtree(machine.VENV)
    run([sys.executable, "-m", "venv", str(machine.VENV)], env)
    assert python.exists(), f"venv left no {python}"


def environment_serves(python: Path) -> bool:
    """Whether .venv starts and is of the running interpreter's version."""
    try:
        said = subprocess.run(
            [str(python), "-c", "import sys, pip; print(sys.version_info[:2])"],
            check=False,
            capture_output=True,
            text=True,
        )
    except OSError:
        return False
    return said.stdout.strip() == str(tuple(sys.version_info[:2]))


def install_uv(python: Path, env: Mapping[str, str]) -> None:
    """The pinned uv, by hash."""
    pins = str(machine.ROOT / "requirements" / "uv.txt")
    run(
        [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
         "--only-binary", ":all:", "--require-hashes", "--requirement", pins],
        env,
    )  # fmt: skip


def install_packages(python: Path, groups: list[str], env: Mapping[str, str]) -> None:
    """Exactly the locked packages of these groups; anything else in .venv is removed."""
    uv = str(python.with_name("uv"))
    listing = machine.STATE / "tmp" / "requirements.txt"
    # The export reads uv.lock alone. Settings for indexes would be compared with it, and differ.
    offline = {name: value for name, value in env.items() if not name.startswith("UV_")}
    run(
        [uv, "export", "--frozen", "--offline", "--quiet", "--no-config", "--no-emit-project",
         "--no-default-groups", "--no-annotate", "--python", str(python),
         *(f"--group={group}" for group in groups), "--output-file", str(listing)],
        {**offline, "UV_CACHE_DIR": env["UV_CACHE_DIR"], "UV_PYTHON_DOWNLOADS": "never"},
    )  # fmt: skip
    listed = run([str(python), "-m", "pip", "config", "list"], env)
    settings = uv_settings(pip_settings(listed), env)
    no_index = ["--no-index"] if settings.pop("UV_NO_INDEX", "") else []
    run(
        [uv, "pip", "sync", "--require-hashes", "--only-binary", ":all:", *no_index,
         "--python", str(python), str(listing)],
        {**env, **settings},
        show=sys.stderr.isatty(),
    )  # fmt: skip


def link_sources(python: Path, env: Mapping[str, str]) -> None:
    """Put src/ on the environment's path and write the `phoenix` command."""
    # Asked of the environment itself: distributions patch where the system's Python looks.
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([str(python), "-c", asked], env).strip())
    (packages / "phoenix.pth").write_text(f"{machine.ROOT / 'src'}\n")
    launcher = machine.VENV / "bin" / "phoenix"
    launcher.write_text(LAUNCHER.format(python=shlex.quote(str(python))))
    launcher.chmod(launcher.stat().st_mode | 0o111)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One installation at a time; a second one waits and then finds the work done."""
    machine.STATE.mkdir(exist_ok=True)
    with (machine.STATE / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(groups: list[str], wanted: str) -> None:
    """The four steps; the stamp comes last, so that an interrupted run is simply done again."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("")
    env = machine.quiet_environment()
    python = machine.VENV / "bin" / "python"
    uv_version = UV_PIN.findall((machine.ROOT / "requirements" / "uv.txt").read_text())[0]
    STAMP.unlink(missing_ok=True)
    with step(1, "virtual environment in .venv"):
        if not environment_serves(python):
            make_environment(python, env)
    with step(2, f"uv {uv_version}"):
        uv = python.with_name("uv")
        if not uv.exists() or uv_version not in run([str(uv), "--version"], env):
            install_uv(python, env)
    with step(3, "locked packages" + (f" with {', '.join(groups)}" if groups else "")):
        install_packages(python, groups, env)
    with step(4, "phoenix itself"):
        link_sources(python, env)
    STAMP.write_text(json.dumps({"inputs": wanted, "groups": groups}) + "\n")


def main() -> int:
    """Install what is missing and say how long it took."""
    parser = argparse.ArgumentParser(description="Install Phoenix into this clone.")
    parser.add_argument("--group", action="append", default=[], choices=["dev", "go", "sbom"])
    asked = parser.parse_args().group
    began = time.monotonic()
    try:
        with alone():
            stamp, wanted = installed(), fingerprint()
            groups = wanted_groups(asked, stamp)
            if stamp.get("inputs") == wanted and stamp.get("groups") == groups:
                return 0
            print("Installing into the clone", flush=True)
            install(groups, wanted)
    except StepFailed as failure:
        print(f"Installation failed:\n{failure}", file=sys.stderr)
        return 6
    except OSError as error:
        print(f"Installation failed: {error}\n  -> {remedy_for(str(error))}", file=sys.stderr)
        return 6
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again to go on where it stopped.", file=sys.stderr)
        return 130
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    os.chdir(machine.ROOT)
    sys.exit(main())
