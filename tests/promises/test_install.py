"""From a clone to a command: what the preflight says, and where packages are looked for."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def bootstrap(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The installer as a module; scripts are no package, so their folder goes on the path."""
    monkeypatch.syspath_prepend(str(root / "scripts"))
    yield importlib.import_module("bootstrap")
    for name in ("bootstrap", "machine"):
        sys.modules.pop(name, None)


def preflight(root: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/preflight.py"],
        cwd=root,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_preflight_names_every_check_and_lets_this_machine_through(root: Path) -> None:
    done = preflight(root)
    assert done.returncode == 0, done.stdout
    for subject in ("system", "python", "make", "disk", "memory", "/proc", "user", "ports"):
        assert re.search(rf"^  (ok|note) +{subject} ", done.stdout, re.MULTILINE), subject


def test_preflight_without_make_says_how_to_get_it(root: Path) -> None:
    done = preflight(root, PATH="/nonexistent")
    assert done.returncode == 6
    assert "FAIL  make" in done.stdout
    assert "apt install make" in done.stdout
    assert "nothing was fetched or changed" in done.stdout


def test_scripts_can_be_read_by_an_interpreter_that_is_too_old(root: Path) -> None:
    """Otherwise Python 3.8 answers with a SyntaxError instead of what it needs."""
    for name in ("preflight.py", "machine.py"):
        text = (root / "scripts" / name).read_text()
        ast.parse(text, feature_version=(3, 8))
        assert "from __future__ import annotations" in text


def test_preflight_and_lock_agree_on_the_newest_python(root: Path, bootstrap: ModuleType) -> None:
    """Every locked package that is not pure has a wheel for each supported version."""
    import tomllib

    machine = bootstrap.machine
    span = range(machine.OLDEST_PYTHON[1], machine.NEWEST_PYTHON[1] + 1)
    wheels: dict[str, list[str]] = {}
    for package in tomllib.loads((root / "uv.lock").read_text())["package"]:
        names = [wheel["url"].rsplit("/", 1)[1] for wheel in package.get("wheels", [])]
        wheels.setdefault(package["name"], []).extend(names)
    lacking = {
        (name, minor)
        for name, names in wheels.items()
        if names
        for minor in span
        if not any(serves(wheel, minor) for wheel in names)
    }
    assert lacking == set()


def serves(wheel: str, minor: int) -> bool:
    """Whether a wheel installs on CPython 3.`minor` (PEP 425 tags)."""
    python, abi, _ = wheel.removesuffix(".whl").split("-")[-3:]
    if python.startswith("py"):
        return True
    if abi == "abi3":
        return int(python.removeprefix("cp3")) <= minor
    return python == f"cp3{minor}" and not abi.endswith("t")


def test_settings_of_pip_become_settings_of_uv(bootstrap: ModuleType) -> None:
    listing = "\n".join(
        [
            "global.index-url='https://mirror.example/simple'",
            "global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'",
            "global.trusted-host='mirror.example'",
            "install.find-links='/wheels'",
            ":env:.cert='/etc/company.pem'",
            ":env:.timeout='90'",
            "freeze.all='true'",
            "not a setting",
        ]
    )
    found = bootstrap.uv_settings(bootstrap.pip_settings(listing), {})
    assert {name: found[name] for name in sorted(found) if name.startswith("UV_IN")} == {
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "mirror.example",
    }
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["UV_FIND_LINKS"] == "/wheels"
    assert found["SSL_CERT_FILE"] == "/etc/company.pem"
    assert found["UV_HTTP_TIMEOUT"] == "90"


def test_environment_beats_the_files_of_pip(bootstrap: ModuleType) -> None:
    listing = ":env:.index-url='https://b.example'\nglobal.index-url='https://a.example'"
    assert bootstrap.pip_settings(listing) == {"index-url": ["https://b.example"]}


def test_what_the_user_set_for_uv_wins(bootstrap: ModuleType) -> None:
    pip = {"index-url": ["https://pip.example"], "proxy": ["http://proxy.example:3128"]}
    env = {"UV_DEFAULT_INDEX": "https://uv.example", "HTTPS_PROXY": "http://other.example:3128"}
    found = bootstrap.uv_settings(pip, env)
    assert "UV_DEFAULT_INDEX" not in found
    assert "ALL_PROXY" not in found


def test_credentials_of_an_index_never_reach_a_message(bootstrap: ModuleType) -> None:
    said = "failed: https://me:secret@mirror.example/simple and http://token@x.example"
    assert bootstrap.CREDENTIALS.sub("", said) == (
        "failed: https://mirror.example/simple and http://x.example"
    )


def test_installed_groups_are_kept_and_go_is_added_where_path_has_none(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.machine, "find_go", lambda: None)
    assert bootstrap.wanted_groups([], {"groups": ["dev"]}) == ["dev", "go"]
    monkeypatch.setattr(bootstrap.machine, "find_go", lambda: ("/usr/bin/go", "1.26.8"))
    assert bootstrap.wanted_groups(["sbom"], {}) == ["sbom"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("error: No space left on device", "disk"),
        ("dns error: failed to lookup address", "connection"),
        ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("WARNING: connection broken\nERROR: No matching distribution", "connection"),
    ],
)
def test_a_failed_installation_says_what_to_do(
    bootstrap: ModuleType, said: str, remedy: str
) -> None:
    assert remedy in bootstrap.remedy_for(said)


def test_build_server_script_is_executable_and_calls_make_test(root: Path) -> None:
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
