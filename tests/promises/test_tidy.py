"""The tree stays tidy: a list of bans, each with what to do instead, and ratchets for size.

Modelled on TigerBeetle's `tidy.zig`: cheap to read, cheap to run, and every failure names the file,
the line and the replacement. A ratchet holds the largest thing that exists; it may only go down.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SELF = Path(__file__).resolve()

CODE = r".*\.(py|sql|go|sh|toml|yaml|md)$"
# (what is banned, where, what to do instead); split words keep this file out of its own net
BANS = (
    (r"\b(TO" r"DO|FIX" r"ME|X{3}|HA" r"CK)\b", CODE, "finish it or leave it out"),
    (r"NotImplemented" r"Error", r"src/.*\.py$", "write it, or leave the name out"),
    (
        r"\bpytest\.(mark\.)?(skip|skipif|xfail)\b",
        r"tests/.*\.py$",
        "a test runs everywhere, or it is wrong",
    ),
    (r"except (Base)?Exception\b.*:\s*\n\s*pass\b", r".*\.py$", "name what may happen"),
    (
        r"\bmock\.|import mock|MagicMock",
        r"tests/.*\.py$",
        "the real part, or a fake from phoenix.testing",
    ),
    (
        r"files\.pythonhosted\.org|proxy\.golang\.org|pypi\.org/simple",
        r"(?!uv\.lock|docs/).*",
        "the index that the user has set up",
    ),
    (r"^(<<<<<<<|>>>>>>>) ", r".*", "resolve the conflict"),
)
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "lib",
    "core",
    "manager",
    "types",
}
# `except Exception` is right where one failure must not end the others: say so beside it.
REASON = re.compile(r"#\s*(?!noqa)\w.{12,}")

LONGEST_MODULE_LINES = 520
LONGEST_FUNCTION_LINES = 50


def text_of(path: Path) -> str:
    """The file as text; bytes that are no text are read as if they were Latin-1."""
    return path.read_text(encoding="utf-8", errors="replace")


def test_nothing_banned_is_in_the_tree(files: list[Path], root: Path) -> None:
    found = []
    for path in files:
        name = path.relative_to(root).as_posix()
        rules = [(ban, instead) for ban, where, instead in BANS if re.match(where, name)]
        if path == SELF or not rules or name == "uv.lock":
            continue
        text = text_of(path)
        for ban, instead in rules:
            for hit in re.finditer(ban, text, re.MULTILINE):
                line = text.count("\n", 0, hit.start()) + 1
                found.append(f"{name}:{line}: {hit.group().strip()!r}; instead: {instead}")
    assert not found, "\n".join(found)


def test_no_file_knows_where_this_clone_lies(files: list[Path], root: Path) -> None:
    knowing = [path.relative_to(root) for path in files if f"{root}/" in text_of(path)]
    assert knowing == []


def test_names_of_modules_say_what_is_inside(sources: list[Path], root: Path) -> None:
    assert [p.relative_to(root) for p in sources if {p.stem, p.parent.name} & VAGUE_NAMES] == []


def test_every_file_opens_with_its_story(python_files: list[Path], root: Path) -> None:
    silent = [
        path.relative_to(root).as_posix()
        for path in python_files
        if path.stat().st_size and not ast.get_docstring(ast.parse(text_of(path)))
    ]
    assert silent == []


def test_packages_say_what_they_are_and_export_nothing_twice(
    sources: list[Path], root: Path
) -> None:
    wrong = []
    for path in sources:
        if path.name == "__init__.py":
            tree = ast.parse(text_of(path))
            if not ast.get_docstring(tree):
                wrong.append(f"{path.relative_to(root)}: has no paragraph")
            if any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body):
                wrong.append(f"{path.relative_to(root)}: imports; let callers name the module")
    assert wrong == []


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether it swallows any exception; one that ends by raising it again does not."""
    named = handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )
    raises = any(isinstance(node, ast.Raise) and not node.exc for node in ast.walk(handler))
    return named and not raises


def test_catching_everything_has_its_reason_beside_it(sources: list[Path], root: Path) -> None:
    bare = []
    for path in sources:
        lines = text_of(path).splitlines()
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.ExceptHandler) and catches_everything(node):
                near = lines[node.lineno - 2 : node.lineno + 2]
                if not any(REASON.search(line) for line in near):
                    bare.append(f"{path.relative_to(root)}:{node.lineno}: say why everything")
    assert not bare, "\n".join(bare)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_stay_small(sources: list[Path], root: Path) -> None:
    long = [
        f"{path.relative_to(root)}:{function.lineno}: {function.name}, {code_lines(function)} lines"
        for path in sources
        for function in functions(ast.parse(text_of(path)))
        if code_lines(function) > LONGEST_FUNCTION_LINES
    ]
    assert not long, "\n".join(["split by what each part decides:", *long])


def test_modules_stay_small(sources: list[Path], root: Path) -> None:
    sizes = {path.relative_to(root).as_posix(): text_of(path).count("\n") for path in sources}
    long = {name: lines for name, lines in sizes.items() if lines > LONGEST_MODULE_LINES}
    assert not long, f"split by aspect: {long}"


def test_no_binary_or_enormous_file_is_kept(files: list[Path], root: Path) -> None:
    large = {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in files
        if path.stat().st_size > 700_000 and path.name not in ("uv.lock", "go.sum")
    }
    assert large == {}


def test_locks_pin_everything_by_hash(root: Path) -> None:
    pins = (root / "requirements/uv.txt").read_text()
    lock = (root / "uv.lock").read_text()
    assert re.search(r"^uv==[\d.]+ \\$", pins, re.MULTILINE)
    assert "--hash=sha256:" in pins
    assert 'git = "' not in lock, "a branch of a repository is not a pin"
