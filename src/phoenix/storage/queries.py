"""SQL lives in `queries.sql` beside the store that runs it, under headers like `-- tick_insert --`.

A person can then read it, run it in psql and ask EXPLAIN about it. Arguments are `%(name)s`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

_HEADER = re.compile(r"^-- ([a-z0-9_]+) --[ \t]*$", re.MULTILINE)


class Queries(Mapping[str, str]):
    """The statements of one `queries.sql`, by name."""

    def __init__(self, package: str, text: str) -> None:
        self._package = package
        self._statements = _split(package, text)

    def __getitem__(self, name: str) -> str:
        assert name in self._statements, f"{self._package}/queries.sql has no statement {name!r}"
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


@functools.cache
def queries(package: str) -> Queries:
    """The statements of `queries.sql` of a package, for example `queries("phoenix.ledger")`."""
    return Queries(package, files(package).joinpath("queries.sql").read_text(encoding="utf-8"))


def _split(package: str, text: str) -> dict[str, str]:
    _, *parts = _HEADER.split(text)
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        assert name not in statements, f"{package}/queries.sql has two statements {name!r}"
        statements[name] = body.strip().removesuffix(";")
    return statements
