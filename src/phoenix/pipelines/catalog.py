"""The recipes that ship with Phoenix: a template and, beside it, what it is for.

A template is `catalog_files/NAME.yaml`; its metadata is `catalog_files/NAME.toml`, since a
collector refuses a configuration with keys that it does not know. Reading metadata takes no YAML
parser, so that listing pipelines is quick.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from phoenix.pipelines.errors import UnknownPipeline
from phoenix.pipelines.model import Parameter, Pipeline, Value

_FILES = resources.files("phoenix.pipelines") / "catalog_files"


def names() -> list[str]:
    """The names in the catalog, sorted."""
    suffix = ".toml"
    return sorted(f.name.removesuffix(suffix) for f in _FILES.iterdir() if f.name.endswith(suffix))


@lru_cache(maxsize=64)
def load(name: str) -> Pipeline:
    """The pipeline of that name.

    Raises:
        UnknownPipeline: there is none; the remedy names the nearest.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=2, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UnknownPipeline(
            f"There is no pipeline {name[:80]!r} in the catalog.",
            remedy=f"{hint}`phoenix pipeline list` shows all: {', '.join(names())}.",
        )
    about = tomllib.loads(_read(f"{name}.toml"))
    parameters = list(about["parameters"])
    if "parameters_of" in about:
        parameters = tomllib.loads(_read(about["parameters_of"]))["parameters"] + parameters
    return Pipeline(
        name=name,
        title=about["title"],
        strategy=about["strategy"],
        description=about["description"],
        use_cases=tuple(about["use_cases"]),
        expected_reduction=about["expected_reduction"],
        changes_scrape=about["changes_scrape"],
        conserves_totals=about["conserves_totals"],
        parameters=tuple(_parameter(item) for item in parameters),
        source="catalog",
        template=_read(about.get("template", f"{name}.yaml")),
        demonstration=about.get("demonstration", False),
    )


def _read(file: str) -> str:
    return (_FILES / file).read_text(encoding="utf-8")


def _parameter(item: dict[str, Any]) -> Parameter:
    return Parameter(
        name=item["name"],
        type=item["type"],
        default=_frozen(item["default"]),
        minimum=item.get("minimum"),
        maximum=item.get("maximum"),
        description=item["description"],
    )


def _frozen(value: Any) -> Value:
    frozen: Value = tuple(value) if isinstance(value, list) else value
    return frozen
