"""A reader of the collector's transformation language (OTTL), as much of it as a lint needs.

It reads the grammar of `pkg/ottl/README.md` at v0.161 (statements, conditions, paths with keys,
calls, lists, arithmetic) into a small tree, and can decide a condition for one imagined process
when what is known of it suffices. What a field may hold is the collector's business: `validate`
compiles every statement for real.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from phoenix.pipelines import re2

ROOTS = frozenset(
    ("resource", "scope", "instrumentation_scope", "metric", "datapoint", "log", "span",
     "spanevent", "profile", "otelcol")
)  # fmt: skip

EDITORS_OF_METRICS = frozenset((
    "aggregate_on_attributes", "aggregate_on_attribute_value", "copy_metric", "scale_metric",
    "convert_gauge_to_sum", "convert_sum_to_gauge", "convert_summary_count_val_to_sum",
    "convert_summary_sum_val_to_sum", "convert_summary_quantile_val_to_gauge",
    "convert_exponential_histogram_to_histogram", "extract_count_metric", "extract_sum_metric",
))  # fmt: skip
_EDITORS = EDITORS_OF_METRICS | frozenset((
    "append", "clear", "delete_index", "delete_key", "delete_keys", "delete_matching_keys",
    "flatten", "keep_keys", "keep_matching_keys", "limit", "merge_maps", "replace_all_matches",
    "replace_all_patterns", "replace_match", "replace_pattern", "set", "set_semconv_span_name",
    "stringify_all", "truncate_all", "merge_histogram_buckets",
))  # fmt: skip
_CONVERTERS = frozenset((
    "All", "Any", "Base64Decode", "Base64Encode", "Bool", "Coalesce", "CommunityID", "Concat",
    "ContainsValue", "ConvertAttributesToElementsXML", "ConvertCase", "ConvertTextToElementsXML",
    "Day", "Decode", "Double", "Duration", "ExtractGrokPatterns", "ExtractPatterns", "FNV",
    "Filter", "Find", "Format", "FormatTime", "GetXML", "HasAttrKeyOnDatapoint",
    "HasAttrOnDatapoint", "HasPrefix", "HasSuffix", "Hex", "Hour", "Hours", "Index", "InsertXML",
    "Int", "IsBool", "IsDouble", "IsEmpty", "IsInCIDR", "IsInt", "IsList", "IsMap", "IsMatch",
    "IsRootSpan", "IsString", "IsValidLuhn", "Keys", "Len", "Log", "MD5", "MapEach", "MapKeys",
    "Microseconds", "Milliseconds", "Minute", "Minutes", "Month", "Murmur3Hash", "Murmur3Hash128",
    "Nanosecond", "Nanoseconds", "Now", "ParseCEF", "ParseCLF", "ParseCSV", "ParseELF", "ParseInt",
    "ParseJSON", "ParseKeyValue", "ParseLEEF", "ParseSeverity", "ParseSimplifiedXML", "ParseXML",
    "ProfileID", "Reduce", "RemoveXML", "SHA1", "SHA256", "SHA512", "Second", "Seconds",
    "SliceToMap", "Sort", "SpanID", "Split", "String", "Substring", "Time", "ToCamelCase",
    "ToKeyValueString", "ToLowerCase", "ToSnakeCase", "ToUpperCase", "TraceID", "Trim",
    "TrimPrefix", "TrimSuffix", "TruncateTime", "URL", "UUID", "UUIDv7", "Unix", "UnixMicro",
    "UnixMilli", "UnixNano", "UnixSeconds", "UserAgent", "Values", "Weekday", "When", "XXH128",
    "XXH3", "Year",
))  # fmt: skip
FUNCTIONS = _EDITORS | _CONVERTERS
ENUMS = frozenset((
    "AGGREGATION_TEMPORALITY_CUMULATIVE", "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_UNSPECIFIED", "FLAG_NONE", "FLAG_NO_RECORDED_VALUE",
    "METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM", "METRIC_DATA_TYPE_GAUGE",
    "METRIC_DATA_TYPE_HISTOGRAM", "METRIC_DATA_TYPE_NONE", "METRIC_DATA_TYPE_SUM",
    "METRIC_DATA_TYPE_SUMMARY",
))  # fmt: skip


class Unreadable(Exception):
    """The text is not OTTL; `escape` when a backslash in a string is the reason."""

    def __init__(self, reason: str, *, escape: bool = False) -> None:
        super().__init__(reason)
        self.escape = escape


@dataclass(frozen=True, slots=True)
class Node:
    """One piece of a statement.

    `kind` is text, number, nil, bool, enum, path, call, list, compare, and, or, not, arithmetic or
    statement; `value` is its literal, name or operator; `parts` are its operands.
    """

    kind: str
    value: str = ""
    parts: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and everything in it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def key(self) -> str:
        """A path with its keys as it is written: `resource.attributes["process.pid"]`."""
        return self.value + "".join(f'["{part.value}"]' for part in self.parts)


def statement(text: str, context: str | None = None) -> Node:
    """An editor call with an optional `where`: parts are the call and, if given, the condition.

    Raises:
        Unreadable: it does not follow the grammar.
    """
    reader = _Reader(text, context)
    call = reader.call_or_path()
    if call.kind != "call":
        raise Unreadable("a statement starts with a function")
    where = reader.either() if reader.took("where") else None
    reader.finish()
    return Node("statement", call.value, (call,) if where is None else (call, where))


def condition(text: str, context: str | None = None) -> Node:
    """A condition. Raises Unreadable when it does not follow the grammar."""
    reader = _Reader(text, context)
    node = reader.either()
    reader.finish()
    return node


def decide(node: Node, known: Mapping[str, str | None]) -> bool | None:
    """Is the condition true, given the values of the paths in `known`? None: it cannot be said.

    A path whose value is None is known to be absent: nothing matches it, and it equals only nil.
    """
    if node.kind in {"and", "or"}:
        return _joined(node, known)
    if node.kind == "not":
        inner = decide(node.parts[0], known)
        return None if inner is None else not inner
    if node.kind == "bool":
        return node.value == "true"
    if node.kind == "compare":
        return _compared(node, known)
    if node.kind == "call" and node.value == "IsMatch" and len(node.parts) == 2:
        return _matched(node, known)
    return None


def _joined(node: Node, known: Mapping[str, str | None]) -> bool | None:
    answers = [decide(part, known) for part in node.parts]
    settles = node.kind == "or"
    if settles in answers:
        return settles
    return None if None in answers else not settles


def _compared(node: Node, known: Mapping[str, str | None]) -> bool | None:
    left, right = node.parts
    if left.kind != "path" or left.key() not in known or node.value not in {"==", "!="}:
        return None
    if right.kind not in {"text", "nil"}:
        return None
    value = known[left.key()]
    same = value is None if right.kind == "nil" else value == right.value
    return same if node.value == "==" else not same


def _matched(node: Node, known: Mapping[str, str | None]) -> bool | None:
    target, pattern = node.parts
    if target.kind != "path" or target.key() not in known or pattern.kind != "text":
        return None
    if re2.why_not_both(pattern.value) is not None:
        return None
    value = known[target.key()]
    return value is not None and re2.compiled(pattern.value).search(value) is not None


_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^\\"])*")
    |(?P<bytes>0x[0-9a-fA-F]+)
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    |(?P<sign>==|!=|<=|>=|[=<>()\[\]{},:+*/-]))""",
    re.VERBOSE,
)
_COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))
_ESCAPE = re.compile(r"\\(.)")
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_RESERVED = frozenset(("and", "or", "not", "where"))
_DEEPEST = 100


class _Reader:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, context: str | None) -> None:
        self.context = context
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def took(self, text: str) -> bool:
        kind, value = self.peek()
        if kind in {"word", "sign"} and value == text:
            self.at += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.took(text):
            raise Unreadable(f"expected {text!r} before {self.peek()[1]!r}")

    def finish(self) -> None:
        if self.peek()[0] != "end":
            raise Unreadable(f"{self.peek()[1]!r} is not expected there")

    def either(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Unreadable("it is nested too deeply")
        node = self._joined("or", lambda: self._joined("and", self.negated))
        self.depth -= 1
        return node

    def _joined(self, word: str, operand: object) -> Node:
        parts = [operand()]  # type: ignore[operator]
        while self.took(word):
            parts.append(operand())  # type: ignore[operator]
        return parts[0] if len(parts) == 1 else Node(word, "", tuple(parts))

    def negated(self) -> Node:
        if self.took("not"):
            return Node("not", "", (self.compared(),))
        return self.compared()

    def compared(self) -> Node:
        left = self.arithmetic()
        kind, value = self.peek()
        if kind == "sign" and value in _COMPARISONS:
            self.at += 1
            return Node("compare", value, (left, self.arithmetic()))
        return left

    def arithmetic(self) -> Node:
        left = self.operand()
        while self.peek() in {("sign", s) for s in "+-*/"}:
            sign = self.peek()[1]
            self.at += 1
            left = Node("arithmetic", sign, (left, self.operand()))
        return left

    def operand(self) -> Node:
        kind, value = self.peek()
        if kind == "text":
            self.at += 1
            return Node("text", _unescaped(value[1:-1]))
        if kind in {"number", "bytes"}:
            self.at += 1
            return Node("number", value)
        if kind == "word":
            return self.call_or_path()
        return self.enclosed()

    def enclosed(self) -> Node:
        if self.took("("):
            node = self.either()
            self.need(")")
            return node
        if self.took("["):
            return Node("list", "", tuple(self.items("]")))
        if self.took("{"):
            return Node("list", "map", tuple(self.items("}")))
        if self.took("-"):
            return Node("arithmetic", "-", (self.operand(),))
        raise Unreadable(f"{self.peek()[1]!r} is not expected there")

    def items(self, closing: str) -> Iterator[Node]:
        if self.took(closing):
            return
        while True:
            item = self.either()
            if self.took("="):
                item = self.either()  # name=value: the name is of no interest
            yield item
            if self.took(":"):
                yield self.either()
            if self.took(closing):
                return
            self.need(",")

    def call_or_path(self) -> Node:
        kind, word = self.peek()
        if kind != "word" or word in _RESERVED:
            raise Unreadable(f"{word!r} is not expected there")
        self.at += 1
        if word in {"nil", "true", "false"}:
            return Node("nil" if word == "nil" else "bool", word)
        if self.took("("):
            parts = tuple(self.items(")"))
            return self.keyed(Node("call", word, parts))
        if word.isupper() and "." not in word:
            return Node("enum", word)
        return self.keyed(Node("path", self.rooted(word)))

    def rooted(self, word: str) -> str:
        if self.context and word.split(".", maxsplit=1)[0] not in ROOTS:
            return f"{self.context}.{word}"
        return word

    def keyed(self, node: Node) -> Node:
        """`node` with the keys after it; keys of a call's result say nothing to us."""
        keys: list[Node] = []
        while self.took("["):
            keys.append(self.either())
            self.need("]")
        return Node(node.kind, node.value, tuple(keys)) if keys and node.kind == "path" else node


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unreadable(f"{text[at : at + 20].strip()!r} is not expected there")
        at = found.end()
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
    return tokens


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        letter = found[1]
        if letter in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[letter]
        if letter in '\\"':
            return letter
        if letter in "xuU01234567":
            return found[0]
        raise Unreadable(f"a string has \\{letter}, which is no escape", escape=True)

    return _ESCAPE.sub(plain, text)
