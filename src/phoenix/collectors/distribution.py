"""Our collector and our load program, built once from pinned sources and kept by their hash.

    .phoenix/collector/HASH/otelcol-phoenix      what was built; HASH covers everything it came from
    .phoenix/collector/HASH/phoenix-load
    .phoenix/collector/HASH/inputs.json          what HASH was made of
    .phoenix/collector/otelcol-phoenix           link to the present one
    .phoenix/load/phoenix-load                   likewise
    .phoenix/go/                                 Go's caches, unless PHOENIX_GO_CACHE is set

The official builder, itself pinned, generates the sources of the collector in a work folder; the
committed go.mod and go.sum are their resolution, never resolved again. A build appears whole (one
rename) or not at all, and two builds at once wait for each other.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from phoenix.base.canonical import canonical_bytes
from phoenix.base.clock import Clock, SystemClock
from phoenix.collectors.build_errors import DiskFull, GoMissing, SourcesMissing, explain
from phoenix.collectors.toolchain import Go, build_environment, find_go

# Raised whenever the steps below change in a way that changes what they build.
RECIPE = 2
COLLECTOR = "otelcol-phoenix"
LOAD = "phoenix-load"

_BUILDER_PACKAGE = "go.opentelemetry.io/collector/cmd/builder"
_COMPONENTS = "processor"  # the folder of our own
_OWN_PACKAGES = ("cmd", _COMPONENTS)
_PINNED = ("-mod=readonly", "-modcacherw")
_SMALL = ("-trimpath", "-ldflags=-s -w")
_KEPT_BUILDS = 2
_LOCK_POLL_S = 0.2
_SAY_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the build is. `done` and `total` count modules or packages; total None is not known."""

    step: str
    elapsed_s: float
    done: int | None = None
    total: int | None = None

    def __str__(self) -> str:
        count = "" if self.done is None else f": {self.done:,}"
        if self.done is not None and self.total:
            count += f" of at most {self.total:,}"
        return f"{self.step}{count} ({self.elapsed_s:.0f} s)"


Report = Callable[[Progress], None]


def sources_dir() -> Path:
    """The folder `collector/` of the clone that this package was installed from.

    Raises:
        SourcesMissing: this is not a clone.
    """
    folder = Path(__file__).resolve().parents[3] / "collector"
    if not (folder / "builder.yaml").is_file():
        raise SourcesMissing(
            f"The sources of the collector are not at {folder}.",
            remedy="Run Phoenix from a clone of its repository.",
        )
    return folder


def sources_sha256(sources: Path) -> str:
    """SHA-256 over name and content of everything that is built, tests excluded."""
    files = [sources / name for name in ("builder.yaml", "go.mod", "go.sum")]
    files += [sources / "builder" / name for name in ("go.mod", "go.sum")]
    for own in _OWN_PACKAGES:
        files += [path for path in (sources / own).rglob("*.go") if not path.match("*_test.go")]
    digests = {
        path.relative_to(sources).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    return hashlib.sha256(canonical_bytes(digests)).hexdigest()


def find(data_dir: Path, sources: Path | None = None) -> Path | None:
    """The collector built from the present sources, by whichever Go; None if not built yet."""
    present = (data_dir / "collector" / COLLECTOR).resolve()
    try:
        made_of = json.loads((present.parent / "inputs.json").read_bytes())
    except (OSError, ValueError):
        return None
    wanted = {"sources": sources_sha256(sources or sources_dir()), "recipe": RECIPE}
    same = all(made_of.get(name) == value for name, value in wanted.items())
    return present if same and _complete(present.parent) else None


def load_program(data_dir: Path) -> Path:
    """Where `build` puts the load program; it may not be there yet."""
    return data_dir / "load" / LOAD


def build(
    data_dir: Path,
    report: Report = lambda _: None,
    *,
    sources: Path | None = None,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Path:
    """Build the collector and the load program unless this very build is there; answer its path.

    Cold it downloads 299 modules and compiles about 1,400 packages; `report` hears how far it is.

    Args:
        data_dir: the clone's `.phoenix`.
        report: called with each step, at most every two seconds within one.
        environment: the variables to build with; None takes those of this process.

    Raises:
        GoMissing, SourcesMissing, ModulesUnreachable, ModulesTampered, DiskFull, BuildFailed.
    """
    data_dir = data_dir.absolute()  # the steps below run in folders of their own
    origin = (sources or sources_dir()).absolute()
    try:
        go = find_go(environment)
    except GoMissing:
        if (ready := find(data_dir, origin)) is not None:
            return ready  # once built, no Go is needed
        raise
    made_of = {"sources": sources_sha256(origin), "go": go.version, "recipe": RECIPE}
    key = hashlib.sha256(canonical_bytes(made_of)).hexdigest()[:32]
    home = data_dir / "collector"
    watch = _Watch(report=report, clock=clock or SystemClock())
    try:
        with _only_one(home, watch):
            if not _complete(home / key):
                job = _Job(
                    go=go,
                    sources=origin,
                    environment=build_environment(data_dir, environment),
                    watch=watch,
                )
                _make(job, home, key, made_of)
            _present(data_dir, key)
    except OSError as reason:
        raise explain("writing the build", [str(reason)]) from reason
    return home / key / COLLECTOR


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Tells how far the build is, not more often than somebody can read."""

    report: Report
    clock: Clock
    started: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.last = self.clock.monotonic()

    def say(self, step: str, done: int | None = None, total: int | None = None) -> None:
        self.last = self.clock.monotonic()
        self.report(Progress(step=step, done=done, total=total, elapsed_s=self.last - self.started))

    def count(self, step: str, done: int, total: int | None) -> None:
        if self.clock.monotonic() - self.last >= _SAY_EVERY_S:
            self.say(step, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One build: the tool, the sources, the surroundings."""

    go: Go
    sources: Path
    environment: dict[str, str]
    watch: _Watch

    def run(
        self,
        step: str,
        argv: Sequence[str | Path],
        cwd: Path,
        *,
        counted: re.Pattern[str] | None = None,
        total: int | None = None,
    ) -> str:
        """Run one command to its end, saying how far it is; answer its standard output."""
        self.watch.say(step)
        said: deque[str] = deque(maxlen=60)
        done = 0
        with (
            tempfile.TemporaryFile(dir=self.environment["GOTMPDIR"]) as output,
            _own_group(argv, cwd, self.environment, output.fileno()) as child,
        ):
            assert child.stderr is not None, "asked for as a pipe"
            for line in child.stderr:
                if counted is not None and counted.match(line):
                    done += 1
                    self.watch.count(step, done, total)
                else:
                    said.append(line.rstrip())
            status = child.wait()
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if status != 0:
            raise explain(step, [*said, *text.splitlines()[-20:]])
        return text


def _make(job: _Job, home: Path, key: str, made_of: Mapping[str, object]) -> None:
    _check_room(job.environment, home)
    Path(job.environment["GOTMPDIR"]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=home) as folder:
        work = Path(folder)
        generated, result = work / "build", work / "result"
        result.mkdir()
        _generate(job, work, generated)
        _compile(job, job.sources, "./cmd/phoenix-load", result / LOAD)
        _compile(job, generated, ".", result / COLLECTOR)
        (result / "inputs.json").write_bytes(canonical_bytes(dict(made_of)) + b"\n")
        shutil.rmtree(home / key, ignore_errors=True)  # one that is not complete
        result.rename(home / key)


def _generate(job: _Job, work: Path, generated: Path) -> None:
    """Let the official builder write the collector's main package, beside its pinned modules."""
    builder = work / "builder"
    job.run(
        "preparing the builder",
        [job.go.path, "build", *_PINNED, "-o", builder, _BUILDER_PACKAGE],
        job.sources / "builder",
    )
    shutil.copyfile(job.sources / "builder.yaml", work / "builder.yaml")
    job.run(
        "generating the collector",
        [builder, "--config", "builder.yaml", "--skip-get-modules", "--skip-compilation"],
        work,
    )
    # The generated package stands in our own module: with the same pinned modules, and our own
    # components beside it.
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(job.sources / name, generated / name)
    shutil.copytree(job.sources / _COMPONENTS, generated / _COMPONENTS)


def _compile(job: _Job, module: Path, package: str, target: Path) -> None:
    required = len(re.findall(r"^\s+\S+ v\S+", (module / "go.mod").read_text(), re.M))
    # The builder applies its build_tags only when it compiles by itself.
    tags = re.search(r"^\s+build_tags: (\S+)", (job.sources / "builder.yaml").read_text(), re.M)
    flags = [*_PINNED, f"-tags={tags[1] if tags else ''}"]
    packages = job.run(
        f"downloading modules of {target.name}",
        [job.go.path, "list", *flags, "-deps", package],
        module,
        counted=re.compile(r"go: downloading "),
        total=required,
    ).splitlines()
    job.run(
        f"compiling packages of {target.name}",
        [job.go.path, "build", *flags, *_SMALL, "-v", "-o", target, package],
        module,
        counted=re.compile(r"[\w./~-]+$"),
        total=len(packages),
    )


# A cold build was measured to leave 2.2 GB in the two caches.
_COLD_BYTES, _WARM_BYTES = 3_000_000_000, 400_000_000


def _check_room(environment: Mapping[str, str], home: Path) -> None:
    cache = Path(environment["GOMODCACHE"])
    warm = (cache / "go.opentelemetry.io").is_dir()
    cache.mkdir(parents=True, exist_ok=True)
    for folder, needed in ((cache, _WARM_BYTES if warm else _COLD_BYTES), (home, _WARM_BYTES)):
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise DiskFull(
                f"Building the collector needs about {needed / 1e9:.1f} GB in {folder}, and "
                f"{free / 1e9:.1f} GB are free.",
                remedy="Free some space, or set PHOENIX_GO_CACHE to a folder on a larger disk.",
            )


def _complete(folder: Path) -> bool:
    return (folder / "inputs.json").is_file() and all(
        os.access(folder / program, os.X_OK) for program in (COLLECTOR, LOAD)
    )


def _present(data_dir: Path, key: str) -> None:
    """Point the two links at build `key` and forget all but the latest builds."""
    home = data_dir / "collector"
    (data_dir / "load").mkdir(parents=True, exist_ok=True)
    _link(home / COLLECTOR, Path(key) / COLLECTOR)
    _link(load_program(data_dir), Path("..", "collector", key, LOAD))
    os.utime(home / key)
    builds = [path for path in home.iterdir() if (path / "inputs.json").is_file()]
    builds.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in builds[_KEPT_BUILDS:]:
        shutil.rmtree(old, ignore_errors=True)


def _link(link: Path, target: Path) -> None:
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


@contextmanager
def _only_one(home: Path, watch: _Watch) -> Iterator[None]:
    """Hold the lock of `home`; the kernel frees it however this process ends."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    watch.say("waiting for another build of the collector")
                    said = True
                time.sleep(_LOCK_POLL_S)
        # Nobody else builds now, so a work folder is one that an earlier build was killed in.
        for left in home.glob("work-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def _own_group(
    argv: Sequence[str | Path], cwd: Path, environment: Mapping[str, str], output: int
) -> Iterator[subprocess.Popen[str]]:
    """A child with its compilers in one process group, all of which end when we leave early."""
    child = subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    )
    end = functools.partial(os.killpg, child.pid, signal.SIGKILL)
    try:
        yield child
    finally:
        if child.poll() is None:
            end()
            child.wait()
        assert child.stderr is not None, "asked for as a pipe"
        child.stderr.close()
