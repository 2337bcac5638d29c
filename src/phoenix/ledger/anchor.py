"""Memory outside the database: checkpoints as files in a folder, which may be a git repository.

A log that was forged whole, with its key and its signer's memory, agrees with itself; it does not
agree with a checkpoint that lies somewhere else. The folder is the simplest somewhere else: another
disk, a share that somebody else owns, a repository that is pushed to where it cannot be rewritten.
Nothing about it is a format of ours: each file is a signed checkpoint, and can be brought back to
`phoenix ledger fsck --checkpoint`, or mailed, or printed.

Keeping one may fail, and then nothing waits for it; contradicting one stops the log.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from phoenix.base.errors import Tampered
from phoenix.ledger import checkpoint, note
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import AnchorUnavailable
from phoenix.ledger.keys import VerifierKey

ENDING = ".checkpoint"
_GIT_WITHIN_S = 60
_FILE_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """A checkpoint that was kept outside."""

    checkpoint: Checkpoint
    note: bytes
    path: Path


class Folder:
    """A folder of checkpoints. Files are added, never changed and never removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def kind(self) -> str:
        """`git` when the folder itself is a repository, else `folder`."""
        # A folder somewhere inside a repository may be there for another reason.
        return "git" if (self._folder / ".git").exists() else "folder"

    def kept(self, key: VerifierKey, newest: int = 100) -> list[Anchored]:
        """The newest checkpoints that this key signed, the largest first. Other files are none.

        Raises:
            AnchorUnavailable: the folder is there and cannot be read.
        """
        if not self._folder.exists():
            return []
        try:
            names = sorted(self._folder.glob(f"{_prefix(key.name)}-*{ENDING}"), reverse=True)
            found = [_read(path, key) for path in names[:newest]]
        except OSError as error:
            raise _unavailable(error) from error
        return sorted((a for a in found if a), key=lambda a: a.checkpoint.size, reverse=True)

    def keep(self, signed: bytes) -> Path:
        """Add a checkpoint, flushed to the disk; in a repository, commit and push it.

        Raises:
            AnchorUnavailable: it could not be written, committed or pushed.
        """
        said = checkpoint.parse(note.parse(signed).text)
        path = self._folder / f"{_prefix(said.origin)}-{said.size:019d}{ENDING}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write(path, signed)
        except OSError as error:
            raise _unavailable(error) from error
        if self.kind == "git":
            self._commit(path, said)
        return path

    def _commit(self, path: Path, said: Checkpoint) -> None:
        self._git("add", "--", path.name)
        if self._git("status", "--porcelain", "--", path.name):
            message = f"Checkpoint of {said.size} entries of {said.origin}"
            self._git(
                "-c", "user.name=phoenix", "-c", "user.email=phoenix@localhost",
                "-c", "commit.gpgsign=false", "commit", "-q", "-m", message, "--", path.name,
            )  # fmt: skip
        if self._git("remote"):
            self._git("push", "-q")

    def _git(self, *arguments: str) -> str:
        """Run git in the folder, which must ask nobody anything.

        Raises:
            AnchorUnavailable: with what it said.
        """
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self._folder,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_GIT_WITHIN_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise _unavailable(error) from error
        if done.returncode:
            raise AnchorUnavailable(
                f"git {arguments[0]} failed: {done.stderr.strip()[-300:]}", remedy=_REMEDY
            )
        return done.stdout.strip()


_REMEDY = "Nothing waits for it; it is tried again. See that the folder can be written."


def _prefix(origin: str) -> str:
    """Several logs may share a folder."""
    return hashlib.sha256(origin.encode()).hexdigest()[:16]


def _read(path: Path, key: VerifierKey) -> Anchored | None:
    """The checkpoint in a file, if it is one that the key signed."""
    if path.stat().st_size > _FILE_BYTES_MAX:
        return None
    data = path.read_bytes()
    try:
        signed = note.parse(data)
        signed.verified_by([key])
        said = checkpoint.parse(signed.text)
    except Tampered:
        return None
    return Anchored(checkpoint=said, note=data, path=path) if said.origin == key.name else None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unavailable(error: Exception) -> AnchorUnavailable:
    return AnchorUnavailable(f"The checkpoint could not be kept outside: {error}", remedy=_REMEDY)
