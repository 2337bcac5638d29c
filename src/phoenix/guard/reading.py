"""Rules and dashboards from files and folders: the only module of the guard that touches a disk.

A folder is read with everything below it. A file that holds neither is passed over in a folder and
refused when it is named by itself. One that cannot be read is not passed over: it becomes a query
that cannot be judged, with the reason.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from phoenix.guard import dashboards, rulefiles
from phoenix.guard.errors import UnreadableQueries
from phoenix.guard.model import Query

QUERIES_MAX: Final = 20_000
FILE_BYTES_MAX: Final = 32 << 20
_YAML = (".yaml", ".yml")
_RULES = (*_YAML, ".rules", ".json")
_Read = Callable[[str, str], list[Query] | None]


def rules(path: Path) -> list[Query]:
    """The rules in a file or folder.

    Raises:
        UnreadableQueries: nothing is there, it holds none, or far too many.
    """
    return _all(path, _RULES, rulefiles.read, "rules")


def boards(path: Path) -> list[Query]:
    """The queries of the dashboards in a file or folder; also those kept as text in ConfigMaps.

    Raises:
        UnreadableQueries: as `rules`.
    """
    return _all(path, (".json", *_YAML), _board, "dashboards")


def _all(path: Path, endings: tuple[str, ...], read: _Read, what: str) -> list[Query]:
    files = [path] if path.is_file() else sorted(_below(path, endings))
    found: list[Query] = []
    read_any = False
    for file in files:
        name = file.name if file == path else file.relative_to(path).as_posix()
        queries = read(_text(file), name)
        if queries is not None:
            read_any = True
            found += queries
        if len(found) > QUERIES_MAX:
            raise UnreadableQueries(
                f"'{path}' holds more than {QUERIES_MAX} queries.", remedy="Name a part of it."
            )
    if not read_any:
        raise UnreadableQueries(
            f"There are no {what} in '{path}'.",
            remedy="Name a file or folder of rule files (groups: ...) or of dashboards (JSON).",
        )
    return found


def _below(path: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    if not path.is_dir():
        raise UnreadableQueries(f"There is no '{path}'.", remedy="Check the path.")
    for file in path.rglob("*"):
        if file.suffix in endings and file.is_file():
            yield file


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise UnreadableQueries(
                f"'{file}' is larger than {FILE_BYTES_MAX >> 20} MiB.", remedy="Split it."
            )
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableQueries(
            f"'{file}' cannot be read: {error.strerror or error}.", remedy="Check its permissions."
        ) from error


def _board(text: str, name: str) -> list[Query] | None:
    if not name.endswith(_YAML):
        return dashboards.read(text, name)
    found: list[Query] = []
    boards = 0
    for inner, content in _kept_in_config_maps(text):
        queries = dashboards.read(content, f"{name}/{inner}")
        boards += queries is not None
        found += queries or ()
    return found if boards else None


def _kept_in_config_maps(text: str) -> Iterator[tuple[str, str]]:
    """The JSON texts in the `data` of ConfigMaps, or of a list of them."""
    from ruamel.yaml import YAML  # noqa: PLC0415  (a tenth of a second that nobody else need pay)
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        documents = list(YAML(typ="safe", pure=True).load_all(io.StringIO(text)))
    except (YAMLError, ValueError, RecursionError, OverflowError):
        return  # whether it was meant to hold any cannot be known
    for document in documents:
        listed = document.get("items") if isinstance(document, Mapping) else None
        for item in listed if isinstance(listed, list) else [document]:
            yield from _json_in(item)


def _json_in(item: Any) -> Iterator[tuple[str, str]]:
    data = item.get("data") if isinstance(item, Mapping) else None
    for key, content in data.items() if isinstance(data, Mapping) else ():
        if str(key).endswith(".json") and isinstance(content, str):
            yield str(key), content
