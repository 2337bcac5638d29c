"""What the collector is built from agrees with itself, and a failed build says what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from phoenix.base.errors import PhoenixError
from phoenix.collectors import distribution
from phoenix.collectors.build_errors import (
    BuildFailed,
    DiskFull,
    GoMissing,
    ModulesTampered,
    ModulesUnreachable,
    explain,
)
from phoenix.collectors.toolchain import build_environment, find_go
from phoenix.pipelines import components

SOURCES = distribution.sources_dir()
REQUIRED = re.compile(r"(\S+\.\S+/\S+) (v\S+)")


def test_every_component_is_resolved_at_the_version_the_builder_asks_for() -> None:
    asked = re.findall(r"gomod: (\S+) (v\S+)", (SOURCES / "builder.yaml").read_text())
    own = re.findall(r"^module (\S+)", (SOURCES / "go.mod").read_text())
    asked = [(module, version) for module, version in asked if module not in own]
    resolved = dict(REQUIRED.findall((SOURCES / "go.mod").read_text()))
    assert len(asked) > 25
    assert {module: resolved.get(module) for module, _ in asked} == dict(asked)


def test_the_lint_knows_every_key_of_our_own_processor() -> None:
    source = (SOURCES / "processor" / "processbudget" / "config.go").read_text()
    config = source.split("type Config struct {")[1].split("\n}")[0]
    keys = set(re.findall(r'mapstructure:"(\w+)"', config))
    assert len(keys) > 15
    assert components.FIELDS["process_budget"] == keys


def test_builder_and_components_are_of_one_release() -> None:
    builder = dict(REQUIRED.findall((SOURCES / "builder" / "go.mod").read_text()))
    asked = dict(re.findall(r"gomod: (\S+) (v\S+)", (SOURCES / "builder.yaml").read_text()))
    release = asked["go.opentelemetry.io/collector/receiver/otlpreceiver"]
    assert builder["go.opentelemetry.io/collector/cmd/builder"] == release


def test_any_change_of_what_is_built_changes_the_key_and_a_go_test_does_not(tmp_path: Path) -> None:
    copy = tmp_path / "collector"
    shutil.copytree(SOURCES, copy)
    before = distribution.sources_sha256(SOURCES)
    assert distribution.sources_sha256(copy) == before
    (copy / "cmd" / "phoenix-load" / "more_test.go").write_text("package main\n")
    (copy / "processor" / "processbudget" / "more_test.go").write_text("package processbudget\n")
    assert distribution.sources_sha256(copy) == before
    seen = {before}
    for name in (
        "builder.yaml",
        "go.sum",
        "builder/go.sum",
        "cmd/phoenix-load/child.go",
        "processor/processbudget/choose.go",
    ):
        with (copy / name).open("a") as file:
            file.write("\n")
        seen.add(distribution.sources_sha256(copy))
    assert len(seen) == 6


def test_nothing_is_found_before_it_was_built(tmp_path: Path) -> None:
    assert distribution.find(tmp_path) is None


@pytest.mark.parametrize(
    ("said", "refusal", "advice"),
    [
        ('Get "https://proxy.example/x": dial tcp: no such host', ModulesUnreachable, "GOPROXY"),
        ("module lookup disabled by GOPROXY=off", ModulesUnreachable, "GOPROXY"),
        ("write /x/y: no space left on device", DiskFull, "Free some space"),
        ("verifying a@v1: checksum mismatch", ModulesTampered, "mirror"),
        ("/usr/lib/go/pkg/tool/compile: signal: killed", BuildFailed, "memory"),
        ("components.go:3:2: undefined: x", BuildFailed, "Report it"),
    ],
)
def test_a_failed_build_says_what_to_do(
    said: str, refusal: type[PhoenixError], advice: str
) -> None:
    refused = explain("compiling", [said])
    assert type(refused) is refusal
    assert said in refused.message
    assert advice in (refused.remedy or "")


def test_a_failed_build_does_not_repeat_the_password_of_a_mirror() -> None:
    refused = explain("downloading", ["reading https://me:hunter2@mirror.example/a: 401 "])
    assert "hunter2" not in str(refused)
    assert "mirror.example" in str(refused)


def _fake_go(folder: Path, version: str) -> Path:
    folder.mkdir()
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    program.chmod(0o755)
    return program


def test_a_go_on_path_serves_from_1_26(tmp_path: Path) -> None:
    program = _fake_go(tmp_path / "bin", "1.26.0")
    go = find_go({"PATH": str(program.parent)})
    assert (go.path, go.version) == (program, "go1.26.0 linux/amd64")


def test_an_older_go_is_named_in_the_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _fake_go(tmp_path / "bin", "1.22.4")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "no-venv"))
    with pytest.raises(GoMissing) as refused:
        find_go({"PATH": str(program.parent)})
    assert "go1.22.4" in refused.value.message
    assert "make install" in (refused.value.remedy or "")


def test_go_writes_nothing_outside_of_the_data_folder_and_keeps_the_users_settings(
    tmp_path: Path,
) -> None:
    mine = {"GOPROXY": "https://mirror.example", "XDG_CONFIG_HOME": "/home/me/.config"}
    variables = build_environment(tmp_path, mine)
    written = ("XDG_CONFIG_HOME", "GOPATH", "GOTMPDIR", "GOMODCACHE", "GOCACHE")
    assert all(Path(variables[name]).is_relative_to(tmp_path) for name in written)
    assert variables["GOPROXY"] == "https://mirror.example"
    assert variables["GOENV"] == "/home/me/.config/go/env"


def test_caches_can_be_shared_between_clones(tmp_path: Path) -> None:
    variables = build_environment(tmp_path / "clone", {"PHOENIX_GO_CACHE": str(tmp_path / "go")})
    assert variables["GOMODCACHE"] == str(tmp_path / "go" / "mod")
    assert variables["GOCACHE"] == str(tmp_path / "go" / "build")
