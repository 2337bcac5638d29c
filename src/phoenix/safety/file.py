"""The local kill file: a process without its database stays killed, and a fresh one knows.

One JSON object with an HMAC-SHA256 (RFC 2104) under a key that only this user can read. A file that
is there but does not verify means stopped: somebody touched it. It is replaced whole, and flushed
to disk before anything relies on it. It also says whether the database was told: a kill that it was
not told of outranks whatever the database says.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from phoenix.base.canonical import canonical_bytes
from phoenix.base.clock import rfc3339
from phoenix.safety.errors import KillFileTampered
from phoenix.safety.model import KillState, Scope

FILE = "kill.json"
KEY = "kill.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the file holds: a state, and whether the database was told of it."""

    state: KillState
    told: bool
    raw: bytes


def read(data_dir: Path) -> Kept | None:
    """What the file says; None when there is none.

    Raises:
        KillFileTampered: it is there and does not verify.
    """
    path = data_dir / FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KillFileTampered(_what(path), remedy=_REMEDY) from error
    try:
        body = json.loads(raw)
        fields = body["kill"]
        wanted = _sign(data_dir, fields, create=False)
        if not hmac.compare_digest(bytes.fromhex(body["hmac"]), wanted):
            raise ValueError("wrong signature")
        state = KillState(
            epoch=int(fields["epoch"]),
            killed=bool(fields["killed"]),
            scope=Scope(fields["scope"]),
            reason=str(fields["reason"]),
            actor=str(fields["actor"]),
            at=datetime.fromisoformat(fields["at"]),
        )
        return Kept(state=state, told=bool(fields["told"]), raw=raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KillFileTampered(_what(path), remedy=_REMEDY) from error


def write(data_dir: Path, state: KillState, *, told: bool, over: Kept | None) -> bool:
    """Replace the file and flush it, folder included; False when `over` is not what is there.

    Whoever read `over` may have been overtaken by a kill, which must not be written away.
    """
    with locked(data_dir):
        path = data_dir / FILE
        present = path.read_bytes() if path.exists() else None
        if present != (over.raw if over else None):
            return False
        replace(data_dir, state, told=told)
    return True


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile; held for a moment only."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / f"{FILE}.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace(data_dir: Path, state: KillState, *, told: bool) -> None:
    """Write the file whole, whatever is there; call it inside `locked`."""
    fields = {
        "epoch": state.epoch,
        "killed": state.killed,
        "scope": state.scope.value,
        "reason": state.reason,
        "actor": state.actor,
        "at": rfc3339(state.at),
        "told": told,
    }
    body = {"kill": fields, "hmac": _sign(data_dir, fields, create=True).hex()}
    temporary = data_dir / f"{FILE}.{os.getpid()}.new"
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(body, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(data_dir / FILE)
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_REMEDY = "Find out who changed it. To go on, run: phoenix revive --reason …"


def _what(path: Path) -> str:
    return f"{path} is there but does not verify; candidates stay stopped."


def _sign(data_dir: Path, fields: Mapping[str, object], *, create: bool) -> bytes:
    return hmac.digest(_key(data_dir, create), canonical_bytes(fields), sha256)


def _key(data_dir: Path, create: bool) -> bytes:
    path = data_dir / KEY
    if create and not path.exists():
        _create_key(path)
    return path.read_bytes()


def _create_key(path: Path) -> None:
    """Make the key whole or not at all; of two processes at once the first one's is kept."""
    temporary = path.with_name(f"{KEY}.{os.getpid()}.{secrets.token_hex(4)}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(32))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
