"""YAML in, YAML out: bounded and strict when reading, one spelling per document when writing.

Reading refuses what a collector would refuse (duplicate keys, several documents) and what would
cost us (size, depth, alias bombs) before anything is built. Writing quotes every text that some
YAML reader might take for something else: the collector reads YAML 1.1 and 1.2 mixed (`1_000` and
`0o7` are numbers to it), so only plain words stay bare.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phoenix.pipelines.errors import BadConfiguration

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 60

_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
_DURATION = re.compile(r"[0-9]+(ms|s|m|h)\Z")
_NOT_TEXT = frozenset(
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "infinity"]
)


def dump(document: Mapping[str, Any]) -> str:
    """`document` (mappings, lists, text, integers, booleans, None) as YAML, in its own order."""
    from ruamel.yaml import YAML  # noqa: PLC0415  (a tenth of a second that listing need not pay)
    from ruamel.yaml.nodes import ScalarNode  # noqa: PLC0415
    from ruamel.yaml.representer import SafeRepresenter  # noqa: PLC0415

    class Representer(SafeRepresenter):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    def text(representer: Any, data: str) -> ScalarNode:
        return representer.represent_scalar("tag:yaml.org,2002:str", data, style=_style(data))  # type: ignore[no-any-return]

    def mapping(representer: Any, data: Mapping[str, Any]) -> Any:
        return representer.represent_mapping("tag:yaml.org,2002:map", data.items())

    Representer.add_representer(str, text)
    Representer.add_representer(dict, mapping)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def load(text: str, file: str) -> dict[str, Any]:
    """The mapping that `text` holds.

    Raises:
        BadConfiguration: too large or too deep, not YAML, several documents, a duplicate key, an
            alias bomb, or something other than a mapping.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    refuse_enormous(text, file)
    yaml = YAML(typ="safe", pure=True)
    try:
        _refuse_bombs(text, file)
        document = yaml.load(text)
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise BadConfiguration(
            f"{file} is not YAML that a collector could read: {one_line(error)}",
            remedy="Check the line named; `otelcol validate` reads the same file.",
        ) from error
    if not isinstance(document, dict):
        raise BadConfiguration(
            f"{file} holds no collector configuration: "
            f"its top level is {_kind(document)}, not a mapping.",
            remedy="At its top level are receivers, exporters and service.",
        )
    return document


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A document with the line (from 1) of every value, and of each key given twice."""

    data: Any
    lines: dict[Path, int]
    duplicates: tuple[tuple[Path, int], ...]


def locate(text: str, file: str) -> Located:
    """`text` as values with their lines; a duplicate key is noted, and its last value stands.

    Raises:
        BadConfiguration: too large or too deep, or not YAML; `context["line"]` says where.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    refuse_enormous(text, file)
    try:
        _refuse_bombs(text, file)
        node = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        raise BadConfiguration(
            f"{file} is not YAML that a collector could read: {one_line(error)}",
            remedy="Check the line named; `otelcol validate` reads the same file.",
            line=mark.line + 1 if mark else 1,
        ) from error
    lines: dict[Path, int] = {}
    duplicates: list[tuple[Path, int]] = []
    data = _value_of(node, (), lines, duplicates) if node is not None else None
    return Located(data=data, lines=lines, duplicates=tuple(duplicates))


def _value_of(
    node: Any, path: Path, lines: dict[Path, int], duplicates: list[tuple[Path, int]]
) -> Any:
    from ruamel.yaml.nodes import MappingNode, ScalarNode  # noqa: PLC0415

    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if not isinstance(node, MappingNode):
        return [_value_of(n, (*path, i), lines, duplicates) for i, n in enumerate(node.value)]
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        if key == "<<" and isinstance(value_node, MappingNode):
            merged |= _value_of(value_node, path, lines, duplicates)
            continue
        if key in found:
            duplicates.append(((*path, key), key_node.start_mark.line + 1))
        lines[(*path, key)] = key_node.start_mark.line + 1
        found[key] = _value_of(value_node, (*path, key), lines, duplicates)
    return {**merged, **found}


def _scalar(node: Any) -> Any:
    kind = str(node.tag).rsplit(":", 1)[-1]
    text = str(node.value)
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
    except ValueError:
        return text
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text


def refuse_enormous(text: str, file: str) -> None:
    """Raise BadConfiguration when `text` is larger than any collector configuration is."""
    size = len(text.encode("utf-8", "surrogateescape"))
    if size > MAX_BYTES:
        raise BadConfiguration(
            f"{file} has {size:,} bytes; a configuration may have {MAX_BYTES:,}.",
            remedy="Give the collector's own configuration, not its data.",
        )
    if "\x00" in text:
        raise BadConfiguration(f"{file} is not text.", remedy="Give a YAML file.")


def one_line(error: BaseException) -> str:
    """A parser's message without its line breaks and advice."""
    text = " ".join(part.strip() for part in str(error).splitlines() if part.strip())
    return text.split(" To suppress this check")[0][:400] or type(error).__name__


def _refuse_bombs(text: str, file: str) -> None:
    """Count what the document would be with its aliases written out, before it is built."""
    from ruamel.yaml import YAML, events  # noqa: PLC0415

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        added = 1
        if isinstance(event, events.AliasEvent):
            added = sizes.get(event.anchor, MAX_NODES)  # an alias inside its own anchor never ends
        elif isinstance(event, events.MappingStartEvent | events.SequenceStartEvent):
            open_nodes.append((event.anchor, total))
        elif isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
            continue
        elif isinstance(event, events.ScalarEvent):
            if event.anchor:
                sizes[event.anchor] = 1
        else:
            continue
        total += added
        if total > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            raise BadConfiguration(
                f"{file} unfolds to more than {MAX_NODES:,} values, or is nested deeper than "
                f"{MAX_DEPTH} levels.",
                remedy="Write it without nested aliases.",
            )


def _style(text: str) -> str | None:
    if (_BARE.match(text) or _DURATION.match(text)) and text.lower() not in _NOT_TEXT:
        return None
    return "'" if text.isprintable() and text else '"'


def _kind(document: object) -> str:
    names = {type(None): "empty", list: "a list", str: "text"}
    return names.get(type(document), f"a {type(document).__name__}")
