"""README and schema of `process_budget` say what its code says: every key, each default, examples.

The Go sources are read, not built: `config.go` has the keys in its struct tags, `factory.go` the
defaults in one composite literal. What cannot be read from them fails here rather than being left
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from phoenix.collectors import distribution
from phoenix.pipelines import components, documents
from phoenix.pipelines.lint import lint

FOLDER = distribution.sources_dir() / "processor" / "processbudget"
README = (FOLDER / "README.md").read_text()

STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'^\t(?:(\w+)\s+)?(\S+)\s+`mapstructure:"([^"]*)"`', re.MULTILINE)
ROW = re.compile(r"^\| `([a-z_:\[\]]+)` \| ([^|]+) \| `?([^|`]+)`? \|", re.MULTILINE)
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOKEN = re.compile(r'"[^"]*"|[A-Za-z_][\w.]*|[\d._]+|<<|[{}:,*\[\]]')
DURATION = re.compile(r"(\d+)(ms|s|m|h)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
GO_UNITS = {"time.Second": 1.0, "time.Minute": 60.0, "time.Hour": 3600.0}
ZERO = {
    "int": 0,
    "uint64": 0,
    "float64": 0,
    "string": "",
    "bool": False,
    "time.Duration": 0.0,
    "*component.ID": None,
}
NAMED = {
    "int": "int",
    "uint64": "int",
    "float64": "float",
    "string": "string",
    "bool": "bool",
    "time.Duration": "duration",
    "map[string]string": "map",
    "*component.ID": "component ID",
}

Fields = dict[str, tuple[str, str]]  # Go's name of a field: its key and its type


def structs() -> dict[str, Fields]:
    found: dict[str, Fields] = {}
    for name, body in STRUCT.findall((FOLDER / "config.go").read_text()):
        found[name] = {go or kind: (key, kind) for go, kind, key in FIELD.findall(body)}
    return found


def leaves(name: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and Go type of every key below struct `name`; matchers are one leaf."""
    known = structs()
    for key, kind in known[name].values():
        path = prefix + key
        inner = kind.removeprefix("[]")
        if key == ",squash":
            continue
        if inner in known and inner != "Matcher":
            if kind == "[]Category" or inner != kind:
                yield f"{path}[]", kind
            yield from leaves(inner, f"{path}[]::" if inner != kind else f"{path}::")
        else:
            yield (f"{path}[]" if kind == "[]Matcher" else path), kind


def rows() -> dict[str, tuple[str, str]]:
    """Key: its type and default as README's tables give them."""
    found = ROW.findall(README)
    assert len({key for key, _, _ in found}) == len(found), "a key stands twice in README"
    return {key: (kind.strip(), default.strip()) for key, kind, default in found}


class Literal:
    """Reads a composite literal of Go into a mapping by field name."""

    def __init__(self, source: str) -> None:
        self.tokens = TOKEN.findall(source)

    def value(self) -> Any:
        start = self.tokens[0]
        if start in ("[", "map") or self.tokens[1] == "{":
            return self.composite()
        parts = []
        while self.tokens[0] not in (",", "}"):
            parts.append(self.tokens.pop(0))
        return amount(parts)

    def composite(self) -> Any:
        listed = self.tokens[0] == "["
        while self.tokens.pop(0) != "{":
            pass
        items: list[Any] = []
        fields: dict[str, Any] = {}
        while self.tokens[0] != "}":
            if listed:
                items.append(self.value())
            else:
                key = self.tokens.pop(0).strip('"')
                assert self.tokens.pop(0) == ":"
                fields[key] = self.value()
            if self.tokens[0] == ",":
                self.tokens.pop(0)
        self.tokens.pop(0)
        return items if listed else fields


def amount(parts: list[str]) -> Any:
    """A constant of Go: a number, a text, `2 * time.Minute` (in seconds) or `16 << 20`."""
    match parts:
        case [text] if text.startswith('"'):
            return text.strip('"')
        case [unit] if unit in GO_UNITS:
            return GO_UNITS[unit]
        case [number, "*", unit]:
            return float(number) * GO_UNITS[unit]
        case [number, "<<", bits]:
            return int(number) << int(bits)
        case ["true" | "false" as truth]:
            return truth == "true"
        case [number]:
            return float(number.replace("_", ""))
    raise AssertionError(f"factory.go has a default that this test cannot read: {parts}")


def defaults() -> dict[str, Any]:
    """Path: the default that factory.go gives, or Go's zero."""
    body = (FOLDER / "factory.go").read_text().split("return &", 1)[1]
    literal = Literal(body).value()
    known = structs()
    found: dict[str, Any] = {}

    def walk(name: str, given: Mapping[str, Any], prefix: str) -> None:
        unknown = given.keys() - known[name].keys()
        assert not unknown, f"factory.go sets what {name} has not: {unknown}"
        for go, (key, kind) in known[name].items():
            if kind in known:
                walk(kind, given.get(go, {}), f"{prefix}{key}::")
            elif kind.startswith("[]") and kind[2:] in known:
                found[f"{prefix}{key}[]"] = given.get(go, [])
            else:
                zero: Any = [] if kind.startswith("[]") else ZERO.get(kind, {})
                found[prefix + key] = given.get(go, zero)

    walk("Config", literal, "")
    return found


def read_default(kind: str, text: str) -> Any:
    if kind == "duration":
        parts = DURATION.findall(text)
        assert "".join(n + u for n, u in parts) == text, text
        return sum(int(n) * SECONDS[u] for n, u in parts)
    if text == "none":
        return None
    return documents.locate(f"value: {text}", "README.md").data["value"]


def schema_keys(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Paths of a schema, in the form that `leaves` gives."""
    for part in node.get("allOf", []):
        if part["$ref"] != "matcher":
            yield from schema_keys(schema["$defs"][part["$ref"]], schema, prefix)
    for key, value in node.get("properties", {}).items():
        path, inner = prefix + key, value
        if value.get("type") == "array" and "$ref" in value["items"]:
            path, inner = f"{path}[]", value["items"]
            yield path
        name = inner.get("$ref")
        if name is None:
            yield path
        elif name != "matcher":
            yield from schema_keys(schema["$defs"][name], schema, f"{path}::")


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = documents.locate(
        (FOLDER / "config.schema.yaml").read_text(), "config.schema.yaml"
    ).data
    return loaded


def expected() -> dict[str, str]:
    return dict(leaves("Config"))


def matcher() -> dict[str, str]:
    return dict(structs()["Matcher"].values())


def test_the_sources_were_understood() -> None:
    assert len(expected()) > 50
    assert {"top::cpu::share", "tiers[]::match[]", "categories[]::category"} <= expected().keys()
    assert defaults()["hysteresis::min_dwell"] == 120
    assert defaults()["anomaly::min_memory"] == 1 << 24


def test_readme_has_every_key_and_no_other() -> None:
    assert rows().keys() == expected().keys() | matcher().keys()


def test_schema_has_every_key_and_no_other() -> None:
    document = schema()
    assert set(schema_keys(document, document, "")) == expected().keys()
    assert document["$defs"]["matcher"]["properties"].keys() == matcher().keys()
    assert document["$defs"]["category"]["allOf"] == [{"$ref": "matcher"}]


def test_schema_describes_every_key() -> None:
    document = schema()
    nodes = [document, *document["$defs"].values()]
    bare = [
        key
        for node in nodes
        for key, value in node["properties"].items()
        if not value.get("description")
    ]
    assert not bare


def test_readme_gives_the_types_of_the_code() -> None:
    kinds = expected() | matcher()
    told = {key: kind for key, (kind, _) in rows().items() if kinds[key] in NAMED}
    assert told == {key: NAMED[kinds[key]] for key in told}
    assert len(told) > 50


def test_readme_gives_the_defaults_of_the_factory() -> None:
    told = {key: read_default(*cells) for key, cells in rows().items()}
    made = defaults()
    assert {key: told[key] for key in made} == made
    # What is inside of lists has no default but Go's zero.
    rest = {key: told[key] for key in told.keys() - made.keys()}
    assert len(rest) > 10
    assert not any(rest.values()), rest


@pytest.mark.parametrize("number", range(len(EXAMPLE.findall(README))))
def test_examples_are_valid(number: int) -> None:
    text = EXAMPLE.findall(README)[number]
    example = documents.locate(text, "README.md").data
    settings = example["processors"]["process_budget"] or {}
    assert settings.keys() <= components.FIELDS["process_budget"]
    assert not unknown_keys(settings, "Config")
    if "service" in example:
        assert lint(text, "README.md") == []


def unknown_keys(settings: Any, name: str, path: str = "") -> list[str]:
    """The keys of an example that the configuration does not have, at any depth."""
    known = structs()
    if isinstance(settings, list):
        return [bad for each in settings for bad in unknown_keys(each, name, path)]
    keys = dict(known[name].values())
    if ",squash" in keys:
        keys |= matcher()
    bad = [f"{path}{key}" for key in settings if key not in keys]
    for key, value in settings.items():
        inner = keys.get(key, "").removeprefix("[]")
        if inner in known:
            bad += unknown_keys(value, inner, f"{path}{key}::")
    return bad


def test_the_examples_of_readme_are_found() -> None:
    complete = [text for text in EXAMPLE.findall(README) if "service:" in text]
    assert len(complete) == 2
    assert len(EXAMPLE.findall(README)) == 5


def test_an_unknown_key_of_an_example_is_noticed() -> None:
    assert unknown_keys({"top": {"cpu": {"sharp": 1}}}, "Config") == ["top::cpu::sharp"]
    assert unknown_keys({"critical": [{"nam": "x"}]}, "Config") == ["critical::nam"]


def test_readme_names_own_metrics_that_exist() -> None:
    named = set(re.findall(r"`otelcol_(processor_process_budget_\w+)`", README))
    listed = (FOLDER / "metadata.yaml").read_text()
    assert len(named) >= 6
    assert all(re.search(rf"^ +{name}:$", listed, re.MULTILINE) for name in named)
