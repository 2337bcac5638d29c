"""The nouns: a pipeline is a recipe, a revision is one immutable rendering of it.

A *critical rule* says which processes must stay visible by name. A *pipeline* is a template with
typed parameters (from the catalog, or imported from somebody's own configuration). A *revision* is
the text that a collector runs, known by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CriticalKind = Literal["name", "path", "regex", "owner"]
ParameterType = Literal["integer", "number", "duration", "bytes", "names", "boolean"]

# A parameter's value after checking. No floats: a specification is hashed, and floats have no one
# spelling. A number is decimal text ("0.02"), a duration is text ("30s"), bytes are an integer.
Value = int | str | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalRule:
    """Which processes must stay visible by name.

    Attributes:
        kind: `name` is the executable's exact name; `regex` is searched in that name (RE2 syntax);
            `path` is the executable's exact path, or a directory when it ends with `/`; `owner` is
            the user that the process runs as.
        value: what to compare with.
        source: who said so: `default`, or the option or file it came from.
    """

    kind: CriticalKind
    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One knob of a pipeline. `default`, `minimum` and `maximum` are in the type's own unit."""

    name: str
    type: ParameterType
    default: Value
    minimum: Value | None
    maximum: Value | None
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A recipe for a collector.

    Attributes:
        changes_scrape: it reads the processes in its own way, so it cannot share the baseline's
            scrape; it is compared by window, not point by point.
        conserves_totals: CPU seconds, bytes and I/O summed over processes stay what they were.
        source: `catalog`, or the file it was imported from.
        template: the recipe's text; a Jinja template unless `literal`.
        literal: the template is plain YAML and takes no parameters.
        demonstration: made to fail, for showing what an abort looks like; never for production.
    """

    name: str
    title: str
    strategy: str
    description: str
    use_cases: tuple[str, ...]
    expected_reduction: str
    changes_scrape: bool
    conserves_totals: bool
    parameters: tuple[Parameter, ...]
    source: str
    template: str
    literal: bool = False
    demonstration: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One rendering: the configuration's text and its SHA-256 in lower-case hexadecimal."""

    pipeline: str
    parameters: Mapping[str, Value]
    config: str
    sha256: str
