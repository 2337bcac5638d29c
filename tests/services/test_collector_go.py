"""The Go half holds: vet, format, tests, the race detector, and a short run of each fuzz target.

Go's own caches make a second run a matter of seconds. The race detector needs a C compiler; where
there is none, the tests run without it, and this says so among the dots.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from phoenix.collectors import distribution
from phoenix.collectors.toolchain import build_environment, find_go

SOURCES = distribution.sources_dir()
GENERATED = "processor/processbudget"
# As in the build of the collector, whose compiled packages are used again.
PINNED = ("-mod=readonly", "-modcacherw", "-trimpath")
# Counted, not timed: a busy machine must not decide what is tried.
FUZZ_TRIES = "2000x"

pytestmark = [pytest.mark.collector, pytest.mark.timeout(1800)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A Go to call in `collector/`, and what to call it with."""

    path: Path
    environment: Mapping[str, str]

    def run(
        self, *arguments: str | Path, cwd: Path = SOURCES, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments],
            cwd=cwd,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def said(self, *arguments: str | Path) -> str:
        answer = self.run(*arguments)
        assert answer.returncode == 0, answer.stdout
        return answer.stdout


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    scratch = tmp_path_factory.mktemp("go")
    environment = build_environment(SOURCES.parent / ".phoenix") | {"GOTMPDIR": str(scratch)}
    return Tool(path=find_go().path, environment=environment)


def test_vet_finds_nothing(go: Tool) -> None:
    answer = go.run("vet", *PINNED, "./...")
    assert answer.returncode == 0, answer.stdout


def test_every_go_file_is_in_its_usual_form(go: Tool) -> None:
    gofmt = Path(go.said("env", "GOROOT").strip()) / "bin" / "gofmt"
    files = sorted(SOURCES.rglob("*.go"))
    answer = subprocess.run([gofmt, "-l", *files], capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == ("", ""), "run gofmt -w on these"


def test_go_tests_pass(go: Tool) -> None:
    answer = go.run("test", *PINNED, "-timeout=20m", "./...")
    assert answer.returncode == 0, answer.stdout
    assert GENERATED in answer.stdout


def test_go_tests_pass_under_the_race_detector_if_there_is_a_c_compiler(
    go: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """-short: what only one goroutine does has nothing to race with, and is slow under it."""
    answer = go.run(
        "test", *PINNED, "-race", "-short", "-timeout=20m", "./...", CGO_ENABLED="1"
    )  # fmt: skip
    if shutil.which(go.said("env", "CC").strip(), path=go.environment.get("PATH")):
        assert answer.returncode == 0, answer.stdout
        return
    assert "C compiler" in answer.stdout, "the one reason for which it may fail"
    with capsys.disabled():
        print("\nNO RACE DETECTOR: it needs a C compiler, and there is none here.")


def fuzz_targets(go: Tool) -> Iterator[tuple[str, str]]:
    """Package and name of each: `go test -list` names a package after its targets."""
    names: list[str] = []
    for line in go.said("test", *PINNED, "-list=^Fuzz", "./...").splitlines():
        words = line.split()
        if line.startswith("Fuzz"):
            names.append(line)
        elif words[:1] == ["ok"]:
            yield from ((words[1], name) for name in names)
            names = []


def test_fuzzing_finds_nothing_in_a_short_run(go: Tool) -> None:
    targets = list(fuzz_targets(go))
    assert len(targets) >= 3, targets
    for package, name in targets:
        answer = go.run(
            "test", *PINNED, "-run=^$", f"-fuzz=^{name}$", f"-fuzztime={FUZZ_TRIES}",
            "-fuzzminimizetime=5s", "-parallel=2", "-timeout=10m", package,
        )  # fmt: skip
        assert answer.returncode == 0, f"{name} (its input is kept in testdata):\n{answer.stdout}"


def test_what_is_generated_is_what_metadata_says(go: Tool, tmp_path: Path) -> None:
    copy = tmp_path / "collector"
    shutil.copytree(SOURCES, copy)
    answer = go.run("generate", "./...", cwd=copy, GOFLAGS="-modcacherw")
    assert answer.returncode == 0, answer.stdout
    assert _contents(copy / GENERATED) == _contents(SOURCES / GENERATED)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
